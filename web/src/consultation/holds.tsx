// What forbids to delete anything of the consultation: the holds that there are, and for those who may, the way to place one
// and, by two people, to release one.

import { useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import * as api from "../api/generated.ts";
import { explain, Problem } from "../api/problem.ts";
import { roleOf } from "../api/session.ts";
import { language, t, tMaybe } from "../text/text.ts";
import { moment } from "../text/time.ts";
import type { Detail } from "./detail.ts";
import { Choice } from "./versions.tsx";
import { holdReason } from "./words.ts";

/** Rows of docs/permissions.md. The server decides; others are not asked for what they may not have. */
export const mayPlace: readonly string[] = ["compliance", "auditor", "service"];
export const mayRelease: readonly string[] = ["compliance"];

export const holdReasons = [
  "litigation",
  "authority",
  "complaint",
  "incident",
  "patient_request",
  "audit",
  "other",
] as const;
export const releaseReasons = ["resolved", "mistake", "superseded", "other"] as const;

/** What somebody is asked in the dialog. */
type Question = { kind: "place" } | { kind: "release" | "approve"; hold: api.HoldSummary };

/** What can be done with a hold now, by somebody who may release holds at all. */
export function stepsOf(
  { released, release }: api.HoldSummary,
  now = Date.now(),
): ("release" | "approve" | "decline")[] {
  if (released) return [];
  if (!release || Date.parse(release.expiresAt) <= now) return ["release"];
  return release.requested.you ? ["decline"] : ["approve", "decline"];
}

export function Holds({ detail, token }: { detail: Detail; token: () => string }) {
  const all = useSignal<api.HoldSummary[] | undefined>(undefined);
  const asked = useSignal<Question | undefined>(undefined);
  const problem = useSignal("");
  const busy = useSignal(false);
  const open = useSignal<boolean | undefined>(undefined); // as it is held at first; then as somebody wants it
  const summary = useRef<HTMLElement>(null);
  const { state, seq, holds = 0, releaseRequestedAt } = detail.consultation.value ?? {};
  const read = async (signal?: AbortSignal) => {
    try {
      const { holds: read } = await api.listHolds(detail.id, signal ? { signal } : {});
      open.value ??= read.some(({ released }) => !released);
      all.value = read;
    } catch {
      // Who may not see them sees no list.
    }
  };
  useEffect(() => {
    const abort = new AbortController();
    void read(abort.signal);
    return () => abort.abort();
    // While people talk there is an event every second, and hardly ever one of a hold.
  }, [detail, state === "open" ? 0 : seq, holds, releaseRequestedAt]);
  /** Carries out what was asked for; says whether it was done. */
  const act = async (order: (options: { token: string }) => Promise<unknown>): Promise<boolean> => {
    if (busy.peek()) return false;
    busy.value = true;
    problem.value = "";
    let done = true;
    try {
      await order({ token: token() });
    } catch (error) {
      done = false;
      const signedOut = error instanceof Problem && error.status === 401;
      problem.value = signedOut ? t("detail.retry.signin") : explain(error);
    }
    await read();
    busy.value = false;
    return done;
  };
  // The button that was pressed may be gone, and so is the dialog: as long as it is open, nothing else takes the focus.
  const finished = useRef(false);
  const asking = asked.value !== undefined;
  useEffect(() => {
    if (asking || !finished.current) return;
    finished.current = false;
    summary.current?.focus();
  }, [asking]);
  const role = roleOf(token());
  const places = mayPlace.includes(role);
  const list = all.value;
  if (!list || (list.length === 0 && !places)) return null;
  const inForce = list.filter(({ released }) => !released).length;
  return (
    <details
      class="holds card"
      data-testid="holds"
      open={open.value}
      onToggle={(event) => {
        open.value = event.currentTarget.open;
      }}
    >
      <summary ref={summary as RefObject<HTMLElement>}>{holdTitle(inForce, list.length)}</summary>
      <p class="hint">{t(inForce > 0 ? "hold.text" : list.length > 0 ? "hold.text.over" : "hold.none")}</p>
      {list.length > 0 && (
        <ul>
          {list.map((hold) => (
            <HoldItem
              key={hold.id}
              hold={hold}
              steps={mayRelease.includes(role) ? stepsOf(hold) : []}
              ask={(kind) => {
                problem.value = "";
                asked.value = { kind, hold };
              }}
              decline={async () => {
                if (await act((options) => api.declineRelease(detail.id, hold.id, options))) summary.current?.focus();
              }}
            />
          ))}
        </ul>
      )}
      {problem.value && !asked.value && (
        <p class="problem" role="alert">
          {problem.value}
        </p>
      )}
      {places && (
        <button
          type="button"
          onClick={() => {
            problem.value = "";
            asked.value = { kind: "place" };
          }}
        >
          {t("hold.place")}
        </button>
      )}
      {asked.value && (
        <Asking
          question={asked.value}
          problem={problem.value}
          close={() => {
            asked.value = undefined;
          }}
          answer={async (reason, reference) => {
            const question = asked.peek();
            if (!question) return;
            const done = await act((options) => carryOut(detail.id, question, reason, reference, options));
            finished.current = done;
            if (done) asked.value = undefined;
          }}
        />
      )}
    </details>
  );
}

/** How many are in force, and of holds that are all over, that they are. */
export function holdTitle(inForce: number, all: number): string {
  if (inForce > 0) return t("hold.title", { n: inForce });
  return all > 0 ? t("hold.title.over", { n: all }) : t("hold.title.none");
}

function carryOut(id: string, question: Question, reason: string, reference: string, options: { token: string }) {
  switch (question.kind) {
    case "place":
      return api.placeHold(id, { reason: reason as api.PlaceHoldRequest["reason"], reference }, options);
    case "release":
      return api.requestRelease(
        id,
        question.hold.id,
        { reason: reason as api.RequestReleaseRequest["reason"] },
        options,
      );
    case "approve":
      return api.approveRelease(id, question.hold.id, options);
  }
}

interface HoldItemProps {
  hold: api.HoldSummary;
  steps: ("release" | "approve" | "decline")[];
  ask(kind: "release" | "approve"): void;
  decline(): unknown;
}

function HoldItem({ hold, steps, ask, decline }: HoldItemProps) {
  const { id, reason, reference, placed, release, released } = hold;
  const expired = release && !released && Date.parse(release.expiresAt) <= Date.now();
  return (
    <li data-testid="hold" data-hold={id} data-over={released !== undefined}>
      <p>
        <b>{holdReason(true, reason)}</b>
        {reference && <span class="reference">{reference}</span>}
        <span class="force">{t(released ? "hold.over" : "hold.force")}</span>
      </p>
      <p class="hint">
        {t("hold.placed", said(placed))}{" "}
        {release && t("hold.asked", { ...said(release.requested), why: holdReason(false, release.reason) })}{" "}
        {release &&
          !released &&
          (expired
            ? t("hold.asked.expired")
            : t("hold.asked.until", { when: moment(release.expiresAt, language.value) }))}{" "}
        {released && t("hold.released", said(released))}
      </p>
      {steps.length > 0 && (
        <p class="steps">
          {steps.map((step) => (
            <button key={step} type="button" class="small" onClick={() => (step === "decline" ? decline() : ask(step))}>
              {t(step === "decline" && release?.requested.you ? "hold.takeback" : `hold.${step}`)}
            </button>
          ))}
        </p>
      )}
    </li>
  );
}

function said({ at, role, name, you }: api.HoldStep): { when: string; who: string } {
  const who = name || (tMaybe(`role.${role}`) ?? role);
  return { when: moment(at, language.value), who: you ? `${who} (${t("hold.who.you")})` : who };
}

interface AskingProps {
  question: Question;
  problem: string;
  close(): void;
  answer(reason: string, reference: string): Promise<void>;
}

/** The dialog: why, and of what case; for an approval, what follows from it. */
function Asking({ question, problem, close, answer }: AskingProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const reason = useSignal("");
  const reference = useSignal("");
  const missing = useSignal(false);
  useEffect(() => dialog.current?.showModal(), []);
  const { kind } = question;
  const reasons = kind === "place" ? holdReasons : kind === "release" ? releaseReasons : [];
  const family = kind === "place" ? "hold.reason" : "hold.release.reason";
  const submit = (event: Event) => {
    event.preventDefault();
    missing.value = reasons.length > 0 && reason.peek() === "";
    if (!missing.peek()) void answer(reason.peek(), reference.peek());
  };
  return (
    <dialog ref={dialog} class="card asking" aria-labelledby="hold-title" aria-describedby="hold-text" onClose={close}>
      <form data-testid="hold-form" onSubmit={submit}>
        <h2 id="hold-title">{t(kind === "place" ? "hold.place" : `hold.${kind}.title`)}</h2>
        <p id="hold-text">{textOf(question)}</p>
        {reasons.length > 0 && (
          <fieldset>
            <legend>{t("hold.reason")}</legend>
            {reasons.map((code) => (
              <Choice
                key={code}
                type="radio"
                name="hold-reason"
                label={tMaybe(`${family}.${code}`) ?? code}
                text={tMaybe(`${family}.${code}.text`) ?? ""}
                checked={reason.value === code}
                choose={() => {
                  reason.value = code;
                  missing.value = false;
                }}
              />
            ))}
          </fieldset>
        )}
        {kind === "place" && (
          <label class="case">
            <b>{t("hold.reference")}</b> <span class="hint">{t("hold.reference.hint")}</span>
            <input
              type="text"
              name="reference"
              maxLength={200}
              autocomplete="off"
              value={reference.value}
              onInput={(event) => {
                reference.value = event.currentTarget.value;
              }}
            />
          </label>
        )}
        {(missing.value || problem) && (
          <p class="problem" role="alert">
            {missing.value ? t("hold.missing") : problem}
          </p>
        )}
        <div class="answers">
          <button type="submit" class="primary">
            {t(`hold.${kind}.submit`)}
          </button>
          <button type="button" onClick={() => dialog.current?.close()}>
            {t("hold.cancel")}
          </button>
        </div>
      </form>
    </dialog>
  );
}

function textOf(question: Question): string {
  if (question.kind !== "approve") return t(`hold.${question.kind}.text`);
  const { release } = question.hold;
  return release ? t("hold.approve.text", { ...said(release.requested), why: holdReason(false, release.reason) }) : "";
}
