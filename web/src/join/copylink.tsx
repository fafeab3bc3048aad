// Gives the person their own link back: the address bar does not show it any more.

import { useSignal } from "@preact/signals";
import { t } from "../text/text.ts";

export function CopyLink({ token }: { token: string }) {
  const copied = useSignal(false);
  const link = `${window.location.origin}/join#token=${encodeURIComponent(token)}`;
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(link);
      copied.value = true;
    } catch {
      window.prompt(t("device.copy"), link); // old web views have no clipboard
    }
  };
  return (
    <p>
      <button type="button" onClick={() => void copy()}>
        {t("device.copy")}
      </button>{" "}
      <span role="status">{copied.value ? t("device.copied") : ""}</span>
    </p>
  );
}
