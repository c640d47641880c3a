"""Values to render the chart with: the least, everything at once, everything from outside."""

from pathlib import Path

CHART = Path(__file__).parents[3] / "helm" / "cohortlab"
KEY = "ed25519:9IDMKb9KLGQcx8CZ9LcnZ22bTXRLISEUKUDyCHFmVXQ"
DIGEST = "registry.example.org/session@sha256:" + 64 * "a"
GPU_DIGEST = "registry.example.org/session-gpu@sha256:" + 64 * "b"

DEMO = {
    "allowDemoLogin": True,
    "workbench": {
        "trusted_keys": [KEY],
        "login": {"kind": "demo", "accounts": {"researcher": {}}},
        "profiles": {"cpu": {"image": DIGEST}},
    },
}
EVERYTHING = {
    "images": {"registry": "registry.example.org/imaging", "pullSecrets": ["pull"]},
    "allowDemoLogin": True,
    "workbench": {
        "trusted_keys": [KEY],
        "login": {"kind": "demo", "accounts": {"researcher": {}}},
        "gpus": {"a100": {"total": 2}},
        "profiles": {"cpu": {"image": DIGEST}, "gpu": {"image": GPU_DIGEST, "gpu": {"kind": "a100"}}},
    },
    "database": {"existingSecret": "database", "podLabels": {"app": "postgres"}, "cidr": "10.1.2.3/32"},
    "secrets": {"files": ["oidc-client"]},
    "stores": {
        "lake": {"existingClaim": "lake"},
        "archive": {"nfs": {"server": "nfs.example.org", "path": "/export"}},
        "fresh": {"storageClass": ""},
        "bucket": {"csi": {"driver": "s3.csi.example.org", "volumeHandle": "bucket"}, "size": "10Ti"},
    },
    "sessions": {
        "placeholders": [{"name": "course", "replicas": 3, "cpu": "1", "memory": "1Gi", "gpu": {"resource": "nvidia.com/gpu", "count": 1}}]
    },
    "priorityClasses": {"enabled": True},
    "ingress": {"enabled": True, "hosts": ["imaging.example.org"], "tlsSecret": "tls"},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}], "hostnames": ["imaging.example.org"]},
    "serviceMonitor": {"enabled": True},
    "dashboard": {"enabled": True},
    "backup": {"enabled": True, "claim": "backups"},
    "proxy": {"tlsSecret": "proxy-tls"},
    "network": {"metricsIngress": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]},
    "ingest": {
        "enabled": True,
        "store": "lake",
        "dataset": "prostatex",
        "source": {"claim": "dicom", "folder": "prostatex"},
        "keySecret": "gate",
        "arguments": ["--deidentify"],
    },
}  # fmt: skip
EXTERNAL = {
    **DEMO,
    "secrets": {"existingSecret": "own"},
    "database": {"existingSecret": "database", "cidr": "10.1.2.3/32"},
    "stores": {"lake": {"existingClaim": "lake"}},
    "services": {"replicas": 3},
}
GPU = DEMO | {
    "workbench": EVERYTHING["workbench"],
    "sessions": {
        **EVERYTHING["sessions"],
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    },
    "priorityClasses": {"placeholdersName": "low", "sessionsName": "high"},
    "backup": {"enabled": True, "claim": "backups"},
}
MATRIX = {"minimal": DEMO, "everything": EVERYTHING, "external": EXTERNAL, "gpu": GPU}
