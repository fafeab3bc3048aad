// All versions of the video: how far each is, as what it was made, why it failed, and the order of another one.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { roleOf } from "../api/session.ts";
import type { Archive } from "../api/types.ts";
import { language, t, tMaybe } from "../text/text.ts";
import { clock, isoDuration, size } from "../text/time.ts";
import { ArchiveState, unverifiedText } from "../ui/archive.tsx";
import { Scroll } from "../ui/scroll.tsx";
import { byVersion, type Detail, isMaking, type Order } from "./detail.ts";
import { failureText } from "./video.tsx";

/** Who may order one: a row of docs/permissions.md. The server decides; others are not asked for what they may not have. */
export const mayOrder: readonly string[] = ["clinician", "compliance", "admin", "service"];

export const layouts = ["grid", "speaker"] as const;
export const profiles = ["standard", "fast", "audio"] as const;

export function Versions({ detail, token }: { detail: Detail; token: () => string }) {
  const versions = byVersion(detail.archives.value);
  const newest = versions[0];
  if (!newest) return null;
  const columns = ["state", "order", "length", "size"] as const;
  return (
    <details class="versions card" data-testid="versions">
      <summary>{t("versions.title", { n: versions.length })}</summary>
      <Scroll label={t("versions.title", { n: versions.length })}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t("detail.version")}</th>
              {columns.map((name) => (
                <th key={name} scope="col">
                  {t(`versions.column.${name}`)}
                </th>
              ))}
              <td />
            </tr>
          </thead>
          <tbody>
            {versions.map((archive) => (
              <Version key={archive.version} detail={detail} archive={archive} />
            ))}
          </tbody>
        </table>
      </Scroll>
      {mayOrder.includes(roleOf(token())) && <OrderForm detail={detail} newest={newest} />}
    </details>
  );
}

function Version({ detail, archive }: { detail: Detail; archive: Archive }) {
  const { version, state, durationMs, bytes, code, unverified = [] } = archive;
  const shown = detail.shown.value?.version === version;
  return (
    <tr data-testid="version" data-version={version} data-state={state}>
      <th scope="row">{version}</th>
      <td>
        <ArchiveState archive={archive} />
        {state === "ready" && unverified.length > 0 && <p class="hint">{unverifiedText(unverified)}</p>}
        {state === "failed" && (
          <p class="hint">
            {failureText(code)}{" "}
            <a href={`/api/v1/consultations/${detail.id}/archives/${version}/failure.txt`}>{t("versions.said")}</a>
          </p>
        )}
      </td>
      <td>{orderText(archive)}</td>
      <td>{state === "ready" && durationMs !== undefined && <Length ms={durationMs} />}</td>
      <td>{bytes ? size(bytes, language.value) : ""}</td>
      <td>
        {state === "ready" && shown && <span class="hint">{t("versions.shown")}</span>}
        {state === "ready" && !shown && (
          <button
            type="button"
            class="small"
            aria-label={t("versions.show.version", { n: version })}
            onClick={() => {
              detail.picked.value = version;
            }}
          >
            {t("versions.show")}
          </button>
        )}
      </td>
    </tr>
  );
}

function Length({ ms }: { ms: number }) {
  return <time dateTime={isoDuration(ms)}>{clock(ms)}</time>;
}

/** As what a version was made: "Everybody alike, Standard, Single voices". */
export function orderText({ layout, profile, stamp, voices }: Archive): string {
  const parts = [layout && profile !== "audio" && (tMaybe(`layout.${layout}`) ?? layout)];
  parts.push(profile && (tMaybe(`profile.${profile}`) ?? profile));
  if (stamp) parts.push(t("versions.stamp"));
  if (voices) parts.push(t("versions.voices"));
  return parts.filter(Boolean).join(", ");
}

/** What the form begins with: as the newest version is. */
export function orderOf({ layout, profile, stamp = false, voices = false }: Archive): Order {
  return {
    layout: layouts.find((one) => one === layout) ?? "grid",
    profile: profiles.find((one) => one === profile) ?? "standard",
    stamp,
    voices,
  };
}

function OrderForm({ detail, newest }: { detail: Detail; newest: Archive }) {
  const order = useSignal<Order>(orderOf(newest));
  const touched = useRef(false);
  useEffect(() => {
    if (!touched.current) order.value = orderOf(newest);
  }, [newest, order]);
  const change = (part: Partial<Order>) => {
    touched.current = true;
    order.value = { ...order.value, ...part };
  };
  const making = isMaking(newest);
  const reorder = detail.reorder.value;
  const submit = (event: Event) => {
    event.preventDefault();
    if (making || reorder.state === "sending") return;
    void detail.order(order.peek());
  };
  const { layout, profile, stamp, voices } = order.value;
  return (
    <form class="order" data-testid="order" onSubmit={submit}>
      <h3>{t("versions.order")}</h3>
      <p class="hint">{t("versions.order.text")}</p>
      <div class="order-choices">
        <Choices
          name="layout"
          of={layouts}
          chosen={layout}
          choose={(one) => change({ layout: one })}
          off={profile === "audio"}
        />
        <Choices name="profile" of={profiles} chosen={profile} choose={(one) => change({ profile: one })} />
        <fieldset>
          <legend>{t("versions.extras")}</legend>
          <Choice
            type="checkbox"
            name="stamp"
            label={t("versions.stamp")}
            text={t("versions.stamp.text")}
            checked={stamp}
            disabled={profile === "audio"}
            choose={() => change({ stamp: !stamp })}
          />
          <Choice
            type="checkbox"
            name="voices"
            label={t("versions.voices")}
            text={t("versions.voices.text")}
            checked={voices}
            choose={() => change({ voices: !voices })}
          />
        </fieldset>
      </div>
      <button type="submit" class="primary" aria-disabled={making || reorder.state === "sending"}>
        {t("versions.submit")}
      </button>
      <p class="hint" role="status" data-testid="ordered">
        {reorder.state === "ordered" && t("detail.retrying")}
        {reorder.state === "failed" && t("detail.retry.failed", { reason: reorder.text })}{" "}
        {making && reorder.state !== "ordered" && t("versions.pending")}
      </p>
    </form>
  );
}

interface ChoicesProps<T extends string> {
  name: "layout" | "profile";
  of: readonly T[];
  chosen: T;
  choose(one: T): void;
  /** It would change nothing. */
  off?: boolean;
}

function Choices<T extends (typeof layouts)[number] | (typeof profiles)[number]>({
  name,
  of,
  chosen,
  choose,
  off,
}: ChoicesProps<T>) {
  return (
    <fieldset disabled={off}>
      <legend>{t(`versions.${name}`)}</legend>
      {of.map((one) => (
        <Choice
          key={one}
          type="radio"
          name={name}
          label={tMaybe(`${name}.${one}`) ?? one}
          text={tMaybe(`${name}.${one}.text`) ?? ""}
          checked={chosen === one}
          choose={() => choose(one)}
        />
      ))}
    </fieldset>
  );
}

interface ChoiceProps {
  type: "radio" | "checkbox";
  name: string;
  label: string;
  /** One sentence on what it means. */
  text: string;
  checked: boolean;
  disabled?: boolean;
  choose(): void;
}

export function Choice({ type, name, label, text, checked, disabled, choose }: ChoiceProps) {
  return (
    <label class="choice">
      <input type={type} name={name} checked={checked} disabled={disabled} onChange={choose} />
      <span>
        <b>{label}</b> <span class="hint">{text}</span>
      </span>
    </label>
  );
}
