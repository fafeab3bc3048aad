// One failure as its person reads it: the sentence, and the code in small print for whoever helps them.

import { failureText } from "../text/text.ts";

export function Failure({ code }: { code: string }) {
  const sentence = failureText(code);
  if (!sentence) return null;
  return (
    <p class="failure" data-testid="failure" data-code={code}>
      {sentence} <small class="code">{code}</small>
    </p>
  );
}
