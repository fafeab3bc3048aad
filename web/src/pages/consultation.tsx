import "uplot/dist/uPlot.min.css";
import "../ui/base.css";
import "../library/library.css";
import "../consultation/consultation.css";
import "../consultation/paper.css";
import { signIn, token } from "../api/session.ts";
import { Detail, idIn } from "../consultation/detail.ts";
import { ConsultationPage } from "../consultation/page.tsx";
import { followChanges } from "../library/changes.ts";
import { mount } from "../ui/shell.tsx";

const refused = await signIn();
const detail = new Detail(idIn(location.pathname), token, followChanges);
mount(<ConsultationPage detail={detail} token={token} refused={refused} />);
window.addEventListener("hashchange", () => {
  if (location.hash.includes("token=")) location.reload();
});
