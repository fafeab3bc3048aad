import "../ui/base.css";
import "../library/library.css";
import { listConsultations } from "../api/rest.ts";
import { signIn } from "../api/session.ts";
import { Library } from "../library/library.ts";
import { LibraryPage } from "../library/page.tsx";
import { StorageWatch } from "../library/storage.tsx";
import { mount } from "../ui/shell.tsx";

const refused = await signIn();
mount(<LibraryPage library={new Library(listConsultations)} storage={new StorageWatch()} refused={refused} />);
window.addEventListener("hashchange", () => {
  if (location.hash.includes("token=")) location.reload();
});
