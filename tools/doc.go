// Package tools is a module of its own for what checks the repository and is no part of the product, so that its
// dependencies never reach the module that users import: staticcheck, and tests of the compose file and of the scripts.
package tools
