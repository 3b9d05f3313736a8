/** Linux's limit for a path; a longer one could not be extracted. */
const MAX_PATH_BYTES = 4096;

/**
 * The components of a member's path, or what makes it one that nobody should extract: absolute, a
 * component that is empty, `.` or `..`, too long. A leading `./`, as from `tar -c ./NAME`, is
 * left out; the path `.` itself has no components.
 */
export function pathComponents(path: string): readonly string[] | { readonly bad: string } {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return { bad: "its path is too long" };
  if (path.startsWith("/")) return { bad: "its path is absolute" };
  if (path === "." || path === "./") return [];
  const components = path.replace(/^\.\//, "").split("/");
  if (components.includes("..")) return { bad: 'its path has ".." in it' };
  if (components.includes("")) return { bad: "its path has an empty component" };
  if (components.includes(".")) return { bad: 'its path has "." in it' };
  return components;
}
