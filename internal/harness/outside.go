package harness

import "example.com/rpcworkbook/internal/proc"

type Found = proc.Info

func TempDir() (string, error)                 { return proc.TempDir() }
func Guard(group int) error                    { return proc.Guard(group) }
func Unguard(group int) error                  { return proc.Unguard(group) }
func End()                                     { proc.End() }
func Living(group int) ([]int, error)          { return proc.Living(group) }
func Alive(pid int) (bool, error)              { return proc.Alive(pid) }
func Children(pid int) ([]proc.Info, error)    { return proc.Children(pid) }
func Marked(entry string) ([]proc.Info, error) { return proc.Marked(entry) }
func CommandLine(pid int) string               { return proc.CommandLine(pid) }
