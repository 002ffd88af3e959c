module example.com/rpcworkbook/tools

go 1.26.0

require (
	example.com/rpcworkbook v0.0.0
	github.com/go-zookeeper/zk v1.0.4
	github.com/stretchr/testify v1.12.1
	golang.org/x/sys v0.49.0
	mvdan.cc/sh/v3 v3.14.1
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace example.com/rpcworkbook => ../
