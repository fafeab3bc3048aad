// The mark of a consultation of which nothing may be deleted: a word and a line, never a colour alone.

import type { Consultation } from "../api/types.ts";
import { t } from "../text/text.ts";
import { Icon } from "./icons.tsx";

/** How long a request to release a hold counts, as docs/events.md has it. */
const COUNTS = 7 * 24 * 3600_000;

/** Whether a request that was made then can still be approved. */
export function counts(requestedAt: string | undefined, now = Date.now()): boolean {
  return requestedAt !== undefined && now - Date.parse(requestedAt) < COUNTS;
}

/** Nothing for who is not held, and for whom may not know. */
export function Held({ item }: { item: Pick<Consultation, "holds" | "releaseRequestedAt"> }) {
  if (!item.holds) return null;
  return (
    <span class="held" data-testid="held" title={t("hold.mark.title")}>
      <Icon name="lock" />
      {t(counts(item.releaseRequestedAt) ? "hold.mark.asked" : "hold.mark")}
    </span>
  );
}
