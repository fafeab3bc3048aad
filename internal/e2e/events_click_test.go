package e2e

import (
	"fmt"

	"consilium/internal/events"
	"consilium/internal/testenv"
)

// clickEvent clicks on the first event of a type in the list of a consultation. Only rows near what is shown are elements of
// the page, so it scrolls until that one is.
func clickEvent(page *testenv.Page, kind events.Type) {
	page.WaitFor(fmt.Sprintf("an event %s in the list", kind), fmt.Sprintf(`(() => {
		const button = document.querySelector('[data-testid=event][data-type="%s"] button');
		if (button) {
			button.click();
			return true;
		}
		const list = document.querySelector('[data-testid=events] .virtual');
		if (list) list.scrollTop = list.scrollTop + list.clientHeight >= list.scrollHeight ? 0 : list.scrollTop + list.clientHeight;
		return false;
	})()`, kind))
}
