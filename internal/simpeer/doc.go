// Package simpeer simulates participants whose every picture and sound has a known capture time, and reads those
// pictures and sounds back from a video.
//
// A Participant comes in by the doors that the product has: the WebSocket that browsers speak (JoinWebSocket) and WHIP
// (PublishWHIP). It sends what ffmpeg made once from a Spec: each second begins with a white flash and a beep, every
// frame carries its number and its participant's in a bar along the upper edge. Its clocks are wrong by as much as a
// test wants, and so is its network. Sent tells to the microsecond what was captured when.
//
// ReadVideo and ReadBeeps find all that again in an archive, whatever tile it landed on, and Measure compares.
//
// It has its own idea of the messages of the WebSocket, as the pages have: a test reads the protocol's examples with it,
// so that a field that is renamed is noticed. Only tests import it.
package simpeer
