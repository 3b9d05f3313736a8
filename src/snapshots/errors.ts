import { Failure } from "../lib/errors.ts";

/** What was asked for can't be a snapshot's name, so nothing was looked for. */
export class InvalidSnapshotName extends Failure {
  override readonly name = "InvalidSnapshotName";
  constructor(snapshot: string) {
    super(`invalid snapshot name: ${quote(snapshot)}`);
  }
}

/** The snapshot directory holds nothing of that name (any more). */
export class SnapshotNotFound extends Failure {
  override readonly name = "SnapshotNotFound";
  constructor(snapshot: string) {
    super(`snapshot not found: ${snapshot}`);
  }
}

/** There is something of that name, but it isn't a directory: a file, a symbolic link. */
export class SnapshotInvalid extends Failure {
  override readonly name = "SnapshotInvalid";
  constructor(snapshot: string) {
    super(`snapshot invalid: ${snapshot}`);
  }
}

/** The snapshot is locked: by a download, a lease, or somebody who is removing it. */
export class SnapshotInUse extends Failure {
  override readonly name = "SnapshotInUse";
  constructor(snapshot: string) {
    super(`snapshot in use: ${snapshot} is being downloaded, or waits for its first download`);
  }
}

/** In double quotes, safe for a line of a log: whatever isn't printable is escaped. */
function quote(text: string): string {
  const json = JSON.stringify(text);
  return json.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) =>
    character
      .split("")
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
      .join(""),
  );
}
