// Talking to the server: JSON, samples, and errors that say what to do.

export class ApiError extends Error {
  constructor(told, status) {
    super(told.error ?? "the server did not answer as expected");
    Object.assign(this, { expected: told.expected, found: told.found, fix: told.fix, status });
  }
}

async function request(path, init) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...init });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError({ error: "the server does not answer", fix: "start ecgqa explore again, then reload this page" }, 0);
  }
  if (response.ok) return response;
  let told;
  try {
    told = await response.json();
  } catch {
    told = { error: response.status === 401 ? "this page needs its token" : `the server answered ${response.status}` };
    if (response.status === 401) told.fix = "open the address with the token that ecgqa explore printed";
  }
  throw new ApiError(told, response.status);
}

export async function get(path, query = "", signal = undefined) {
  const response = await request(`/api/${path}${query}`, { signal });
  const found = await response.json();
  return response.status === 202 ? { ...found, waiting: true } : found;
}

export async function getTrace(key, signal = undefined) {
  const response = await request(`/api/ecg/${key}/signal`, { signal });
  const about = JSON.parse(response.headers.get("X-Trace"));
  return { ...about, samples: new Int16Array(await response.arrayBuffer()) };
}

export async function post(path, body) {
  const init = body instanceof FormData ? { body } : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  return (await request(`/api/${path}`, { method: "POST", ...init })).json();
}
