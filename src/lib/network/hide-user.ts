/**
 * A text that may hold a URL, right or wrong, without the user and password in it: all between the
 * scheme and the last `@` goes.
 */
export function hideUser(text: string): string {
  return text.replace(/^([a-z][a-z\d+.-]*:\/*)?.*@/is, "$1…@");
}
