// Package page holds the files of the page that make play shows.
package page

import "embed"

// Files are the page's, by name.
//
//go:embed *.html *.css *.js *.svg
var Files embed.FS
