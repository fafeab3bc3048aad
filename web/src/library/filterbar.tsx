// What the list is asked for, above it.

import type { RefObject } from "preact";
import { roleOf, token } from "../api/session.ts";
import { type Key, t } from "../text/text.ts";
import { Icon } from "../ui/icons.tsx";
import { consents, type Filters, holds, narrows, none, problems, states } from "./filters.ts";
import type { Library } from "./library.ts";

export interface FilterBarProps {
  library: Library;
  search: RefObject<HTMLInputElement | null>;
  /** Goes from the search field into the list. */
  into(): void;
}

/** Who is not told of holds: a row of docs/permissions.md. The server decides; others are not offered what they may not ask. */
export const unaware: readonly string[] = ["patient", "interpreter", "observer", "device"];

export function FilterBar({ library, search, into }: FilterBarProps) {
  const filters = library.filters.value;
  const words = (name: "query" | "person") => (event: { currentTarget: HTMLInputElement }) =>
    library.ask({ [name]: event.currentTarget.value });
  const keys = (event: KeyboardEvent) => {
    if (event.key !== "ArrowDown") return;
    event.preventDefault();
    into();
  };
  return (
    <search class="filters" aria-label={t("list.filters")}>
      <label class="search">
        <Icon name="search" />
        <span class="sr">{t("list.search")}</span>
        <input
          ref={search}
          type="search"
          placeholder={t("list.search.hint")}
          value={filters.query}
          onInput={words("query")}
          onKeyDown={keys}
        />
      </label>
      <label class="field">
        <span>{t("list.filter.person")}</span>
        <input
          type="search"
          data-set={filters.person !== ""}
          value={filters.person}
          onInput={words("person")}
          onKeyDown={keys}
        />
      </label>
      <Day library={library} name="from" />
      <Day library={library} name="to" />
      <Choice library={library} name="state" values={states} prefix="list.state" />
      <Choice library={library} name="problem" values={problems} prefix="problems" />
      <Choice library={library} name="consent" values={consents} prefix="list.consent" />
      {!unaware.includes(roleOf(token())) && <Choice library={library} name="held" values={holds} prefix="list.held" />}
      <button
        type="button"
        class="quiet clear"
        hidden={!narrows(filters)}
        onClick={() => {
          library.ask(none, 0);
          search.current?.focus();
        }}
      >
        {t("list.filter.clear")}
      </button>
    </search>
  );
}

function Day({ library, name }: { library: Library; name: "from" | "to" }) {
  return (
    <label class="field">
      <span>{t(`list.filter.${name}`)}</span>
      <input
        type="date"
        max="9999-12-31"
        data-set={library.filters.value[name] !== ""}
        value={library.filters.value[name]}
        onChange={(event) => library.ask({ [name]: event.currentTarget.value }, 0)}
      />
    </label>
  );
}

interface ChoiceProps {
  library: Library;
  name: keyof Filters & ("state" | "problem" | "consent" | "held");
  values: readonly string[];
  prefix: string;
}

function Choice({ library, name, values, prefix }: ChoiceProps) {
  return (
    <label class="field">
      <span>{t(`list.filter.${name}`)}</span>
      <select
        value={library.filters.value[name]}
        data-set={library.filters.value[name] !== ""}
        onChange={(event) => library.ask({ [name]: event.currentTarget.value }, 0)}
      >
        <option value="">{t("list.filter.all")}</option>
        {values.map((value) => (
          <option key={value} value={value}>
            {t(`${prefix}.${value}` as Key)}
          </option>
        ))}
      </select>
    </label>
  );
}
