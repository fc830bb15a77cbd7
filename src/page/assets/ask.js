// What the server is asked for once, not followed.

/** The JSON at a path; null where there is none, or nobody answers. */
export async function ask(path) {
  const answer = await fetch(path).catch(() => null);
  return answer?.ok ? answer.json().catch(() => null) : null;
}
