// What can be done with the whole consultation: pick a version, take the video or the events out.

import { useSignal } from "@preact/signals";
import { exportEvents } from "../api/generated.ts";
import { explain, Problem } from "../api/problem.ts";
import type { Archive } from "../api/types.ts";
import { t } from "../text/text.ts";
import { byVersion, type Detail } from "./detail.ts";

export function Actions({ detail, token }: { detail: Detail; token: () => string }) {
  const versions = byVersion(detail.archives.value);
  const shown = detail.shown.value;
  const problem = useSignal("");
  const take = async (kind: "events.ndjson" | "events.csv") => {
    problem.value = "";
    try {
      const answer = await exportEvents(detail.id, { kind }, { token: token() });
      save(await answer.blob(), `consultation-${detail.id}-${kind}`);
    } catch (error) {
      const signedOut = error instanceof Problem && error.status === 401;
      problem.value = signedOut ? t("detail.retry.signin") : explain(error);
    }
  };
  return (
    <div class="head-actions">
      {versions.length > 1 && (
        <label class="version">
          {t("detail.version")}
          <select
            value={String(shown?.version ?? versions[0]?.version ?? "")}
            onChange={(event) => {
              detail.picked.value = Number(event.currentTarget.value);
            }}
          >
            {versions.map((archive) => (
              <option key={archive.version} value={String(archive.version)}>
                {versionName(archive)}
              </option>
            ))}
          </select>
        </label>
      )}
      {detail.mayExport.value && (
        <>
          <button type="button" class="small" onClick={() => void take("events.csv")}>
            {t("export.csv")}
          </button>
          <button type="button" class="small" onClick={() => void take("events.ndjson")}>
            {t("export.ndjson")}
          </button>
        </>
      )}
      <button type="button" class="small" onClick={() => window.print()}>
        {t("export.print")}
      </button>
      {problem.value && (
        <p class="problem" role="alert">
          {problem.value}
        </p>
      )}
    </div>
  );
}

function versionName({ version: n, state, unverified = [] }: Archive): string {
  if (state !== "ready") return t("detail.version.state", { n, state: t(`archive.${state}`) });
  if (unverified.length > 0) return t("detail.version.state", { n, state: t("archive.unverified") });
  return t("detail.version.option", { n });
}

function save(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
