// Package e2e tests the whole product as its users meet it: two processes, real browsers, simulated participants, and
// the archive that comes out, decoded and compared with what was sent.
//
// Everything goes through the doors that the contract names: REST, WHIP, the WebSocket, the pages and the command line.
package e2e
