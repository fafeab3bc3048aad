// One step before the call: a heading that takes the focus, so that a screen reader says where one is.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { t } from "../text/text.ts";
import { Shell } from "../ui/shell.tsx";
import { type Stage, stepsOf, type Visit } from "./visit.ts";

export function Step({
  visit,
  stage,
  title,
  children,
}: {
  visit: Visit;
  stage: Stage;
  title: string;
  children: ComponentChildren;
}) {
  const heading = useRef<HTMLHeadingElement>(null);
  useLayoutEffect(() => heading.current?.focus(), []); // before anybody can press a key: later it would be taken from them
  const situation = visit.situation.value;
  const steps = situation ? stepsOf(situation, visit.noticeSeen.value) : [];
  const step = steps.indexOf(stage) + 1;
  return (
    <Shell title={visit.call.welcome.value?.title || t("join.title")}>
      <p class="eyebrow">
        {visit.call.welcome.value?.title || t("join.title")}
        {step > 0 && steps.length > 1 && <span> · {t("join.step", { step, steps: steps.length })}</span>}
      </p>
      <section class="card" data-testid={`step-${stage}`}>
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {children}
      </section>
    </Shell>
  );
}
