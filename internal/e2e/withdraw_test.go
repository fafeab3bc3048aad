package e2e

import (
	"testing"
	"time"

	"consilium/internal/events"
	"consilium/internal/testenv"
)

// A patient takes the consent back by one button of the call, and gives it again: everybody sees at once what is true, and
// where recording is required nobody looks at a picture that stands still, that of a device that shows the patient included.
func TestAPatientWithdrawsInTheCall(t *testing.T) {
	p := testenv.StartProduct(t, testenv.ProductOptions{NoStitcher: true})
	service := as(t, p, "service")
	c := service.schedule("Second thoughts", "required",
		person{Name: "Dr Ada Novak", Role: "clinician"}, person{Name: "Pat Maly", Role: "patient"})
	doctor, patient := c.Participants[0], c.Participants[1]
	doctorPage := testenv.NewChromium(t, testenv.ChromiumOptions{})
	enter(doctorPage.Page, doctor.JoinURL)
	patientPage := testenv.NewChromium(t, testenv.ChromiumOptions{Width: 390, Height: 844})
	patientPage.Navigate(patient.JoinURL)
	patientPage.Click("Continue")
	patientPage.Click("Do not record me")
	patientPage.WaitText("Your doctor has been told that you do not want to be recorded.")
	doctorPage.WaitFor("the doctor is told, and goes on being told", `(() => {
		const row = document.querySelector('[data-testid=waiting-room] [data-participant="`+patient.ID+`"]');
		return row?.innerText.includes('does not want to be recorded and so does not join');
	})()`)
	shot(t, doctorPage.Page, "refused-doctor")
	patientPage.Click("Read the notice again")
	patientPage.Click("I agree")
	patientPage.Click("Join")
	seesAndHears(doctorPage.Page, "the doctor", patient.ID)
	given := service.waitEvent(c.ID, events.TypeConsentGiven, patient.ID, 20*time.Second)
	service.waitEvent(c.ID, events.TypeSegmentOpened, patient.ID, 20*time.Second)

	var device participant
	service.call("POST", "/consultations/"+c.ID+"/participants",
		person{Name: "Ultrasound", Role: "device", For: []string{patient.ID}, Consent: true}, 201, &device)
	publishes(t, p, c.ID, device, 2)
	doctorPage.WaitFor("the doctor has the device's picture", `document.querySelector('[data-kind=device] video')?.videoWidth > 0`)

	patientPage.Click("Do not record me")
	patientPage.WaitText("Stop recording you?")
	shot(t, patientPage.Page, "withdraw-dialog")
	patientPage.Click("Stop recording me")
	withdrawn := service.waitEvent(c.ID, events.TypeConsentWithdrawn, patient.ID, 20*time.Second)
	agreed, taken := given.Event.(events.ConsentGiven), withdrawn.Event.(events.ConsentWithdrawn)
	if taken.By != events.BySelf || taken.TextSHA256 == "" || taken.TextSHA256 != agreed.TextSHA256 {
		t.Errorf("given was %+v, withdrawn %+v: want the same text, by oneself", agreed, taken)
	}
	patientPage.WaitFor("the patient is told that nobody sees and hears them", `(() => {
		const told = document.querySelector('[data-testid=silenced]');
		const self = document.querySelector('[data-testid=self]')?.innerText;
		return told?.innerText.includes('neither see nor hear you') && told.getBoundingClientRect().height > 20
			&& told.innerText.includes('Record me') && told.innerText.includes('Leave') && self?.includes('Not seen, not heard')
			&& document.querySelector('[data-testid=self] [data-testid=recorded]')?.dataset.recorded === 'no';
	})()`)
	doctorPage.WaitFor("the doctor sees why there is no picture, and no picture that stands still", `(() => {
		const tile = document.querySelector('[data-testid=tile][data-kind=person]');
		return tile && !tile.querySelector('video') && tile.innerText.includes('neither seen nor heard')
			&& tile.querySelector('[data-testid=recorded]')?.dataset.recorded === 'no'
			&& document.querySelector('[data-testid=recording]')?.dataset.recording === 'on';
	})()`)
	doctorPage.WaitFor("the doctor is told who it is as long as it lasts, and that the device shows nothing for it", `(() => {
		const tile = document.querySelector('[data-kind=device]');
		return document.querySelector('[data-testid=silenced-others]')?.innerText.includes('Pat Maly does not agree')
			&& tile && !tile.querySelector('video') && tile.innerText.includes('does not agree to the recording')
			&& !document.body.innerText.includes('Nothing arrives');
	})()`)
	shot(t, doctorPage.Page, "withdrawn-doctor")
	shot(t, patientPage.Page, "withdrawn-patient")

	patientPage.Click("Record me")
	patientPage.WaitText("Nothing of you is recorded before you agree.")
	patientPage.Click("I agree")
	seesAndHears(doctorPage.Page, "the doctor, after a new consent,", patient.ID)
	doctorPage.WaitFor("the device shows something again, and nobody is said to be silent",
		`document.querySelector('[data-kind=device] video')?.videoWidth > 0
			&& document.querySelector('[data-testid=silenced-others]')?.innerText === ''`)
	patientPage.WaitFor("the patient is recorded again, and told so", `(() => {
		const told = document.querySelector('[data-testid=silenced]');
		return told?.innerText === '' && !document.querySelector('dialog[open]')
			&& document.querySelector('[data-testid=self] [data-testid=recorded]')?.dataset.recorded === 'yes';
	})()`)
	await(t, 20*time.Second, func() string { return "a new file of the patient" }, func() bool {
		for _, e := range service.events(c.ID) {
			if e.Type == events.TypeSegmentOpened && e.Participant == patient.ID && e.Seq > withdrawn.Seq {
				return true
			}
		}
		return false
	})
	service.end(c.ID)
}
