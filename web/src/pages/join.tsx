import "../ui/base.css";
import "../join/join.css";
import { tabStorage, takeToken } from "../api/token.ts";
import { App } from "../join/app.tsx";
import { EndPage } from "../join/endpage.tsx";
import { Visit } from "../join/visit.ts";
import { mount } from "../ui/shell.tsx";

const link = takeToken("consilium.join.token", { location, history, storage: tabStorage() });
if (link) mount(<App visit={new Visit(link.token, location, link.fresh)} token={link.token} />);
else mount(<EndPage ending="missing" />);

// A second link opened in this tab changes the fragment only, and browsers do not load the page again for that.
window.addEventListener("hashchange", () => {
  if (location.hash.includes("token=")) location.reload();
});
