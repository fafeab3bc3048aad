// A question in front of the page: it opens, something is done, it closes. All questions of the call behave alike.

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

/** The part of a <dialog> that a question uses; tests put their own in its place. */
export type Frame = Pick<HTMLDialogElement, "open" | "showModal" | "close">;

export class Question {
  /** What was answered is being carried out; whoever answers once more is not heard. */
  readonly busy = signal(false);
  /** The last answer could not be carried out. */
  readonly failed = signal(false);
  #frame: Frame | null = null;
  #about: unknown;

  /** Where it is shown; null when that is gone. */
  readonly frame = (frame: Frame | null): void => {
    this.#frame = frame;
  };

  ask(): void {
    this.failed.value = false;
    this.#show();
  }

  close(): void {
    this.#frame?.close();
  }

  /** What the question is about. When that changes, it closes: under a finger on its way it must not turn into its opposite. */
  follow(about: unknown): void {
    if (about === this.#about) return;
    this.#about = about;
    this.failed.value = false;
    this.close();
  }

  /**
   * Carries an answer out and closes. When that fails, the question says so, and is opened again if it is not open any more or
   * never was; unless what it is about has changed meanwhile, so that there is nothing left to answer.
   */
  async act(order: () => Promise<void>): Promise<void> {
    if (this.busy.peek()) return;
    this.busy.value = true;
    this.failed.value = false;
    const about = this.#about;
    try {
      await order();
      this.close();
    } catch {
      if (about === this.#about) {
        this.failed.value = true;
        this.#show();
      }
    }
    this.busy.value = false;
  }

  #show(): void {
    if (this.#frame && !this.#frame.open) this.#frame.showModal();
  }
}

/** One question for as long as a component lives. */
export function useQuestion(about?: unknown): Question {
  const question = useRef<Question | null>(null);
  question.current ??= new Question();
  const { current } = question;
  // Before anything is painted.
  useLayoutEffect(() => current.follow(about), [current, about]);
  return current;
}

export interface AskProps {
  question: Question;
  /** Of the elements; one question on a page has it. */
  name: string;
  title: string;
  /** Said when the answer could not be carried out. */
  failure: string;
  /** equal: all answers weigh the same; column: one below the other. */
  answers?: "equal" | "column";
  /** The buttons. */
  actions: ComponentChildren;
  children?: ComponentChildren;
}

export function Ask({ question, name, title, failure, answers, actions, children }: AskProps) {
  return (
    <dialog ref={question.frame} aria-labelledby={`${name}-title`} aria-describedby={`${name}-text`} class="card">
      <h2 id={`${name}-title`}>{title}</h2>
      <div id={`${name}-text`}>{children}</div>
      {question.failed.value && (
        <p class="problem" role="alert">
          {failure}
        </p>
      )}
      <div class={`actions ${answers ?? ""}`} aria-busy={question.busy.value}>
        {actions}
      </div>
    </dialog>
  );
}
