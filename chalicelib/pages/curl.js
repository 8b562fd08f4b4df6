// A request as a line of a POSIX shell. The token isn't in it: a line is copied into tickets and histories.

export function curlLine(path, body) {
  const url = new URL(path, document.baseURI).href;
  return [
    `curl -X POST ${quoted(url)}`,
    `-H "Authorization: Bearer $TILTYARD_TOKEN"`,
    `-H 'Content-Type: application/json'`,
    `-d ${quoted(body)}`,
  ].join(" \\\n  ");
}

/** Between single quotes a shell takes everything as it is, but a single quote. */
export function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
