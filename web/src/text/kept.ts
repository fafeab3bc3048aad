// What is dear to make and asked for again and again, such as the browser's formatters: made once for each question.

/** The same function, which makes each answer once. It is for few different questions: none is forgotten. */
export function kept<T>(make: (locale: string, what: string) => T): (locale: string, what: string) => T {
  const made = new Map<string, T>();
  return (locale, what) => {
    const key = `${locale} ${what}`;
    const known = made.get(key) ?? make(locale, what);
    made.set(key, known);
    return known;
  };
}
