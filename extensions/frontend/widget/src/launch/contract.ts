// What the kernel's traits hold: the models of cohortlab/federation/contracts.py as the browser sees them.

export interface SiteOffer {
  name: string;
  title: string;
  connected: boolean;
}

export interface DatasetOffer {
  id: string;
  title: string;
  description: string;
  sites: SiteOffer[];
}

export interface ParameterSchema {
  type?: string;
  title?: string;
  default?: string | number;
  enum?: string[];
  minimum?: number;
  maximum?: number;
  pattern?: string;
}

export interface TaskOffer {
  name: string;
  title: string;
  parameters: { properties?: Record<string, ParameterSchema> };
}

export interface Offer {
  datasets: DatasetOffer[];
  projects: { id: string; title: string; purpose: string }[];
  tasks: TaskOffer[];
}

export interface Form {
  dataset: string;
  task: string;
  sites: string[];
  parameters: Record<string, string | number>;
  project: string;
  purpose: string;
}

export interface SiteProgress {
  site: string;
  title: string;
  state: string;
  progress: number;
  reason: string | null;
  message: string;
}

export interface Progress {
  id: string;
  dataset: string;
  task: string;
  parameters: Record<string, string | number>;
  state: string;
  summary: string;
  sites: SiteProgress[];
}

export interface Cell {
  count: number;
  suppressed: number;
}

export interface Moments {
  count: number;
  mean: number;
  sd: number;
}

export interface Outcome {
  merged: {
    low: number;
    high: number;
    cells: Cell[];
    below: Cell;
    above: Cell;
    count: number;
    count_suppressed: number;
    moments: Moments | null;
    subjects: number;
    series: number;
  };
  sites: {
    site: string;
    minimum_count: number;
    suppressed: number;
    count: number | null;
    moments: Moments | null;
    subjects: number;
    series: number;
  }[];
  summary: string;
}

export interface Problem {
  message: string;
  hint: string;
  code: string;
}

const FINAL_JOB = new Set(["succeeded", "partial", "refused", "failed", "cancelled", "expired", "lost"]);
const FINAL_SITE = new Set(["released", "refused", "failed", "cancelled", "expired", "lost"]);

export const isOver = (state: string): boolean => FINAL_JOB.has(state);
export const isSiteOver = (state: string): boolean => FINAL_SITE.has(state);
/** A trait that was not set yet is an empty object. */
export const isSet = <T extends object>(value: T | Record<string, never>): value is T => Object.keys(value).length > 0;
