// Package right holds programs that are right, and written in other ways than
// ours: in Python on asyncio and os.fork, in Go with a goroutine for each
// connection. The specifications must find nothing wrong with them: a milestone
// that one of them fails asks for our way of doing it instead of the promise.
package right
