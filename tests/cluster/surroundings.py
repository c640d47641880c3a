"""What stands around a workbench, from one image: PostgreSQL in its namespace, an OpenID provider and a way in with TLS in another."""

import base64
import json
import secrets
from pathlib import Path

from joserfc.jwk import RSAKey

PROVIDER_PORT = 30443  # a NodePort: people and the hub know the provider by one address
DOOR_PORT = 30444  # the same for the hospitals' way in, which is closed to what is not HTTPS
POSTGRES_LABELS = {"app": "postgres"}
PROVIDER_LABELS = {"app": "provider"}
CLIENT = "workbench"
OURS = "cohortlab-tests=yes"  # a label of the tests' namespaces


def namespace(name: str) -> dict:
    """A namespace in which only pods of Pod Security `restricted` are let in."""
    labels = dict([OURS.split("=")]) | {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def secret(name: str, **values: str | bytes) -> dict:
    """A Secret; in keys, `__` stands for a dot."""
    data = {
        key.replace("__", "."): base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()
        for key, value in values.items()
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


def program(name: str, file: str) -> dict:
    """A ConfigMap with a program of the folder `outside`."""
    data = {file: (Path(__file__).parent / "outside" / file).read_text()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def claim(name: str) -> dict:
    """A claim of the default storage class."""
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def pod_spec(image: str, command: list[str], mounts: dict[str, dict], **container: object) -> dict:
    """A restricted pod with one container. `mounts`: path -> source of the volume."""
    names = [f"volume-{number}" for number, _ in enumerate(mounts)]
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "main",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": command,
                "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": name, "mountPath": path} for name, path in zip(names, mounts, strict=True)],
                **container,
            }
        ],
        "volumes": [{"name": name, **source} for name, source in zip(names, mounts.values(), strict=True)],
    }


def ready_when(**probe: object) -> dict:
    """A readiness probe, asked every second."""
    return {**probe, "periodSeconds": 1, "timeoutSeconds": 5}


def deployment(name: str, labels: dict[str, str], spec: dict) -> dict:
    """One replica, never two at a time."""
    template = {"metadata": {"labels": labels}, "spec": spec}
    body = {"replicas": 1, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body}


def service(name: str, labels: dict[str, str], port: int, node_port: int | None = None) -> dict:
    """A Service, as a NodePort where one is given."""
    ports = [{"port": port, "targetPort": port, **({"nodePort": node_port} if node_port else {})}]
    spec = {"type": "NodePort" if node_port else "ClusterIP", "selector": labels, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def postgres(image: str) -> list[dict]:
    """PostgreSQL with two databases, the Secret `database` with their addresses, and who may reach it."""
    password = secrets.token_urlsafe(24)
    address = f"postgresql+psycopg://cohortlab:{password}@postgres/"
    mounts = {
        "/data": {"persistentVolumeClaim": {"claimName": "postgres"}},
        "/secret": {"secret": {"secretName": "postgres"}},
        "/program": {"configMap": {"name": "postgres"}},
        "/tmp": {"emptyDir": {}},  # noqa: S108 - a pod's own
    }
    ready = ready_when(exec={"command": ["sh", "-c", "/usr/lib/postgresql/*/bin/pg_isready -h 127.0.0.1"]})
    spec = pod_spec(image, ["sh", "/program/postgres.sh"], mounts, readinessProbe=ready)
    ours = {"app.kubernetes.io/name": "cohortlab"}
    peers = [{"matchLabels": {**ours, "app.kubernetes.io/component": part}} for part in ("hub", "services", "migrations")]
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "postgres"},
        "spec": {
            "podSelector": {"matchLabels": POSTGRES_LABELS},
            "ingress": [{"from": [{"podSelector": peer} for peer in peers], "ports": [{"port": 5432}]}],
        },
    }
    return [
        claim("postgres"),
        program("postgres", "postgres.sh"),
        secret("postgres", password=password),
        secret("database", records=address + "records", jupyterhub=address + "jupyterhub"),
        deployment("postgres", POSTGRES_LABELS, spec),
        service("postgres", POSTGRES_LABELS, 5432),
        policy,
    ]


def provider(image: str, issuer: str, hub: str, *, client_secret: str, people: dict[str, dict], tls: dict[str, bytes]) -> list[dict]:
    """The OpenID provider at `issuer` for the hub at `hub` (its public address), which knows `people`."""
    key = {**RSAKey.generate_key(2048, private=True).as_dict(private=True), "kid": "sign-in", "use": "sig"}
    client = {"client_id": CLIENT, "client_secret": client_secret, "redirect_uris": [f"{hub}hub/oauth_callback"]}
    config = {"issuer": issuer, "client": client, "jwks": {"keys": [key]}}
    mounts = {
        "/config": {"secret": {"secretName": "provider"}},
        "/tls": {"secret": {"secretName": "provider-tls"}},
        "/program": {"configMap": {"name": "provider"}},
    }
    ready = ready_when(httpGet={"path": "/.well-known/openid-configuration", "port": 8443, "scheme": "HTTPS"})
    spec = pod_spec(image, ["node", "/program/provider.mjs"], mounts, readinessProbe=ready)
    return [
        program("provider", "provider.mjs"),
        secret("provider", provider__json=json.dumps(config), people__json=json.dumps(people)),
        secret("provider-tls", tls__key=tls["key"], tls__crt=tls["certificate"]),
        deployment("provider", PROVIDER_LABELS, spec),
        service("provider", PROVIDER_LABELS, 8443, PROVIDER_PORT),
    ]


def door(image: str, host: str) -> list[dict]:
    """The way in with TLS to `host`, by the certificate that the provider has too."""
    mounts = {
        "/config": {"secret": {"secretName": "door"}},
        "/tls": {"secret": {"secretName": "provider-tls"}},
        "/program": {"configMap": {"name": "door"}},
    }
    labels = {"app": "door"}
    spec = pod_spec(image, ["node", "/program/door.mjs"], mounts, readinessProbe=ready_when(tcpSocket={"port": 8443}))
    return [
        program("door", "door.mjs"),
        secret("door", door__json=json.dumps({"host": host, "port": 80})),
        deployment("door", labels, spec),
        service("door", labels, 8443, DOOR_PORT),
    ]
