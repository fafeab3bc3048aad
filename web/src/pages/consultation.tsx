import "../ui/base.css";
import "../library/library.css";
import "../consultation/consultation.css";
import { signIn, token } from "../api/session.ts";
import { Detail, idIn } from "../consultation/detail.ts";
import { ConsultationPage } from "../consultation/page.tsx";
import { mount } from "../ui/shell.tsx";

const refused = await signIn();
mount(<ConsultationPage detail={new Detail(idIn(location.pathname), token)} refused={refused} />);
window.addEventListener("hashchange", () => {
  if (location.hash.includes("token=")) location.reload();
});
