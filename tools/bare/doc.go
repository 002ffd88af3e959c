// Package bare is the workbook's set-up, tried on systems that have next to
// nothing: bare.sh, which `make bare` runs. There is no Go here but its tests.
package bare
