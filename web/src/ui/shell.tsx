// What every page has around its content, and the plain page that says one thing.

import { type ComponentChildren, render } from "preact";
import { choose, speak, t } from "../text/text.ts";

/** Puts a page on the screen in the reader's language. */
export function mount(page: ComponentChildren): void {
  speak(choose(navigator.languages ?? [navigator.language]));
  const app = document.getElementById("app");
  if (app) render(page, app);
}

export function Shell({
  title,
  children,
  wide = false,
  nav,
}: {
  title: string;
  children: ComponentChildren;
  wide?: boolean;
  /** Which of the staff's pages this is; without it there is no way to them. */
  nav?: "library" | "live" | "consultation";
}) {
  document.title = `${title} – ${t("app.name")}`;
  return (
    <>
      <a class="skip" href="#content">
        {t("app.skip")}
      </a>
      <header class="bar">
        <span class="brand">{t("app.name")}</span>
        {nav && (
          <nav aria-label={t("nav.label")}>
            <a href="/consultations" {...(nav === "library" ? { "aria-current": "page" as const } : {})}>
              {t("nav.library")}
            </a>
            <a href="/live" {...(nav === "live" ? { "aria-current": "page" as const } : {})}>
              {t("nav.live")}
            </a>
          </nav>
        )}
      </header>
      <main id="content" class={wide ? "wide" : "narrow"} tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

export interface NoticePageProps {
  title: string;
  text?: string | undefined;
  testId?: string;
  children?: ComponentChildren;
}

/** A friendly full page: what is, why, and what can be done. */
export function NoticePage({ title, text, testId, children }: NoticePageProps) {
  return (
    <Shell title={title}>
      <section class="card notice" data-testid={testId} role="status">
        <h1>{title}</h1>
        {text && <p>{text}</p>}
        {children}
      </section>
    </Shell>
  );
}
