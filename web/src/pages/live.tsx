import "../ui/base.css";
import "../library/library.css";
import "../live/live.css";
import { getLanes, listConsultations } from "../api/generated.ts";
import { signIn } from "../api/session.ts";
import { followChanges } from "../library/changes.ts";
import { StorageWatch } from "../library/storage.tsx";
import { Live } from "../live/live.ts";
import { LivePage } from "../live/page.tsx";
import { mount } from "../ui/shell.tsx";

const refused = await signIn();
const live = new Live({ list: listConsultations, lanes: getLanes }, followChanges);
mount(<LivePage live={live} storage={new StorageWatch()} refused={refused} />);
window.addEventListener("hashchange", () => {
  if (location.hash.includes("token=")) location.reload();
});
