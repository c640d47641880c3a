// What the states are called on the screen.
const SITE: Record<string, string> = {
  waiting: "waiting for the site",
  sent: "received",
  accepted: "accepted",
  running: "computing",
  releasing: "checking what may go out",
  released: "released",
  refused: "refused",
  failed: "failed",
  cancelled: "cancelled",
  expired: "not fetched in time",
  lost: "lost",
};

const JOB: Record<string, string> = {
  draft: "being written",
  submitted: "submitted",
  approving: "being approved",
  queued: "waiting for the sites",
  starting: "starting",
  running: "running",
  aggregating: "putting the result together",
  releasing: "releasing the result",
  succeeded: "done",
  partial: "done at some of the sites",
  refused: "refused",
  failed: "failed",
  cancelled: "cancelled",
  expired: "expired: no site fetched it in time",
  lost: "lost: the sites stopped answering",
};

export const siteWords = (state: string): string => SITE[state] ?? state;
export const jobWords = (state: string): string => JOB[state] ?? state;
