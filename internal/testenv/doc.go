// Package testenv gives tests the real parts that the product runs with: programs of the machine, browsers with a
// camera, and the product's own two processes.
//
// Everything that it starts ends with the test that asked for it. What is missing on the machine fails the test with the
// command that installs it; nothing is ever skipped or replaced by an imitation. Only tests import it.
package testenv
