import "../ui/base.css";
import "../library/library.css";
import { listConsultations } from "../api/rest.ts";
import { signIn } from "../api/session.ts";
import { followChanges } from "../library/changes.ts";
import { askedOf } from "../library/filters.ts";
import { Library } from "../library/library.ts";
import { LibraryPage } from "../library/page.tsx";
import { StorageWatch } from "../library/storage.tsx";
import { mount } from "../ui/shell.tsx";

const refused = await signIn();
const library = new Library(
  (filters, cursor, abort) => listConsultations(askedOf(filters, cursor), abort),
  followChanges,
);
mount(<LibraryPage library={library} storage={new StorageWatch()} refused={refused} />);
window.addEventListener("hashchange", () => {
  if (location.hash.includes("token=")) location.reload();
});
