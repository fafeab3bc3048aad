// Package floorplan keeps the house in order: its test reads what every package imports and fails on an import that goes
// upwards, on a package that is not on the plan, on a row of the plan without a package, and on a package that does not
// say what it is. It holds no code of the product, and docs/architecture.md shows the same table to people.
package floorplan
