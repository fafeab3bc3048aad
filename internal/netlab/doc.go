// Package netlab is the network laboratory: it builds networks as patients have them, and lets simulated participants
// hold consultations through them.
//
// In comes a table of kinds of network (Kinds); out comes, for each, whether two participants saw and heard each other
// over it within its limit and the recorder held what they sent. A network is made of network namespaces, links between
// them, and the rules of routers; the server is the real program in a namespace of its own, and so is each participant.
//
// All of its traffic stays inside namespaces that it made, whose names begin with consilium-lab and its process id. It
// needs root and Linux. Kinds that a virtual network can show run without either, with the SFU and the recorder in this process.
// Only tests import it.
package netlab
