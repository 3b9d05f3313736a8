/** One series of a query's answer. */
export interface Series {
  readonly metric: Record<string, unknown>;
  /** Time in seconds since 1970, and the value as Prometheus writes it. */
  readonly values: readonly (readonly [number, string])[];
}

/** Asks Prometheus for a range; `step` is in seconds. Throws with Prometheus's reason if it refuses. */
export async function queryRange(
  url: string,
  promql: string,
  start: Date,
  end: Date,
  step: number,
): Promise<Series[]> {
  const query = new URLSearchParams({
    query: promql,
    start: start.toISOString(),
    end: end.toISOString(),
    step: String(step),
  });
  const response = await fetch(`${url}/api/v1/query_range?${query}`);
  const text = await response.text();
  if (!response.ok) throw new Error(`${url}: ${promql}: ${response.status} ${text}`);
  const answer: unknown = JSON.parse(text);
  const series =
    isRecord(answer) && isRecord(answer["data"]) ? answer["data"]["result"] : undefined;
  if (!Array.isArray(series) || !series.every(isSeries)) {
    throw new Error(`${url}: ${promql}: an answer that is no range: ${text}`);
  }
  return series;
}

function isSeries(value: unknown): value is Series {
  return isRecord(value) && isRecord(value["metric"]) && isPoints(value["values"]);
}

function isPoints(value: unknown): boolean {
  const isPoint = (point: unknown) =>
    Array.isArray(point) && typeof point[0] === "number" && typeof point[1] === "string";
  return Array.isArray(value) && value.every(isPoint);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
