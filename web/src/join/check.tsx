// A look at camera and microphone, and the check before the call. Nothing here keeps anybody from joining.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { codesOf, type DeviceKind } from "../call/devices.ts";
import type { LocalMedia } from "../call/media.ts";
import type { PreCheck } from "../call/precheck.ts";
import { t } from "../text/text.ts";
import { Picture } from "../ui/media.tsx";
import { Toggle } from "../ui/toggle.tsx";
import { CopyLink } from "./copylink.tsx";
import { Failure } from "./failure.tsx";
import { Step } from "./step.tsx";
import { Tests } from "./tests.tsx";
import type { Visit } from "./visit.ts";

export function Check({ visit, token }: { visit: Visit; token: string }) {
  const { media } = visit;
  const asked = useSignal(false); // Continue was pressed while the browser still asks
  const goOn = () => {
    if (media.pending.value) asked.value = true;
    else visit.goOn();
  };
  useEffect(() => {
    if (asked.value && !media.pending.value) visit.goOn();
  }, [asked.value, media.pending.value]);
  return (
    <Step visit={visit} stage="check" title={t("check.title")}>
      <Preview media={media} />
      <Level media={media} check={visit.check} />
      <Problems media={media} token={token} />
      <div class="actions">
        <button type="button" class="primary" onClick={goOn}>
          {t("check.continue")}
        </button>
        {media.pending.value && (
          <button type="button" class="quiet" onClick={() => visit.goOn()}>
            {t("check.skip")}
          </button>
        )}
      </div>
      <p class="hint" role="status">
        {asked.value && media.pending.value ? t("check.waiting") : ""}
      </p>
      {/* Below the button: it must not move under a finger when a list or a result comes. */}
      <Choices media={media} />
      <Tests check={visit.check} />
      <div role="status">
        {visit.check.codes.value
          .filter((code) => code === "MIC-SILENT" || code.startsWith("NET-"))
          .map((code) => (
            <Failure key={code} code={code} />
          ))}
      </div>
    </Step>
  );
}

function Preview({ media }: { media: LocalMedia }) {
  const camera = media.tracks.camera.value;
  const on = media.on.camera.value;
  const caption = media.pending.value ? t("check.asking") : camera && on ? t("check.ready") : "";
  return (
    <>
      <div class="preview">
        {camera && on ? (
          <Picture track={camera} label={t("check.preview")} testId="preview" mirrored />
        ) : (
          <p>
            {media.pending.value
              ? t("check.asking")
              : on || media.problems.value.camera
                ? t("check.none")
                : t("check.off")}
          </p>
        )}
        <OwnSwitches media={media} />
      </div>
      <p class="hint" aria-live="polite">
        {camera && on ? caption : ""}
      </p>
    </>
  );
}

export function OwnSwitches({ media }: { media: LocalMedia }) {
  return (
    <div class="switches">
      <Toggle
        name={t("call.microphone")}
        icon="microphone"
        warnWhen="off"
        on={media.on.microphone.value && media.tracks.microphone.value !== undefined}
        onToggle={() => void media.toggle("microphone")}
      />
      <Toggle
        name={t("call.camera")}
        icon="camera"
        warnWhen="off"
        on={media.on.camera.value && media.tracks.camera.value !== undefined}
        onToggle={() => void media.toggle("camera")}
      />
    </div>
  );
}

function Level({ media, check }: { media: LocalMedia; check: PreCheck }) {
  const level = check.level.value;
  const on = media.on.microphone.value;
  // It is there from the beginning: what comes later moves the button below under somebody's finger.
  if (media.problems.value.microphone) return null;
  return (
    <div class="level">
      <meter class="sr" aria-label={t("check.level")} min={0} max={1} value={level} data-testid="level" />
      <div class="level-bar" aria-hidden="true">
        <div style={{ transform: `scaleX(${level.toFixed(2)})` }} />
      </div>
      <p class="hint">{t(!on ? "check.silent" : check.heard.value ? "check.heard" : "check.speak")}</p>
    </div>
  );
}

const KINDS: DeviceKind[] = ["camera", "microphone"];

function Problems({ media, token }: { media: LocalMedia; token: string }) {
  const problems = media.problems.value;
  const failing = KINDS.filter((kind) => problems[kind]);
  if (failing.length === 0) return null;
  const [first] = failing;
  const without =
    failing.length === 2
      ? "check.without.both"
      : first === "camera"
        ? "check.without.camera"
        : "check.without.microphone";
  const everywhere = failing.some((kind) => problems[kind] === "insecure" || problems[kind] === "unsupported");
  const retry = async () => {
    for (const kind of failing) media.on[kind].value = true;
    await media.open();
  };
  return (
    <div class="problem" role="alert" data-testid="device-problem">
      {codesOf(problems).map((code) => (
        <Failure key={code} code={code} />
      ))}
      <p>{t(without)}</p>
      {everywhere ? (
        <CopyLink token={token} />
      ) : (
        <button type="button" onClick={() => void retry()}>
          {t("check.retry")}
        </button>
      )}
    </div>
  );
}

function Choices({ media }: { media: LocalMedia }) {
  const lists = media.choices.value;
  return (
    <div class="choices">
      {KINDS.map((kind) => {
        const devices = lists[kind].filter((device) => device.id);
        if (devices.length < 2) return null;
        const current = media.tracks[kind].value?.getSettings().deviceId ?? "";
        return (
          <label key={kind}>
            {t(kind === "camera" ? "check.choose.camera" : "check.choose.microphone")}
            <select value={current} onChange={(event) => void media.choose(kind, event.currentTarget.value)}>
              {devices.map((device, index) => (
                <option key={device.id} value={device.id}>
                  {device.label || t("check.device.unnamed", { n: index + 1 })}
                </option>
              ))}
            </select>
          </label>
        );
      })}
    </div>
  );
}
