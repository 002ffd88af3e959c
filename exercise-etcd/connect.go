// Package etcd finds servers in etcd instead of ZooKeeper: a Registrar for the
// server of package rpc, a Discovery for its client. This file is what the two
// share: how to connect, and what bounds a wait.
package etcd

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// answerTime bounds every request.
const answerTime = time.Second

// connect makes a client. It blocks for at most answerTime, and only if there
// are a user and a password, for which etcd must be asked.
//
// The waits that gRPC would set are made for the internet: up to 2 minutes
// between two attempts to connect, 20 seconds for each, and no look at whether
// a connection that says nothing is still one. With those, an etcd that was
// away for a while would be back long before we notice.
func connect(config clientv3.Config) (*clientv3.Client, error) {
	ours := []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
		Backoff: backoff.Config{
			BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: answerTime,
		},
		MinConnectTimeout: 2 * answerTime,
	})}
	config.DialOptions = append(ours, config.DialOptions...) // of two for one thing the last counts: theirs

	if config.DialTimeout == 0 || config.DialTimeout > answerTime {
		config.DialTimeout = answerTime // it is for the password
	}
	if config.DialKeepAliveTime == 0 {
		config.DialKeepAliveTime = 10 * time.Second // no less is allowed
		config.DialKeepAliveTimeout = 2 * answerTime
	}
	if config.Logger == nil {
		config.Logger = zap.NewNop() // what goes wrong comes back as an error, and we log that
	}

	client, err := clientv3.New(config)
	if err != nil {
		return nil, fmt.Errorf("connect to etcd: %w", err)
	}
	return client, nil
}

// request bounds one request, which f makes.
func request[T any](ctx context.Context, f func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, fmt.Errorf("no answer from etcd within %v", answerTime))
	defer cancel()

	result, err := f(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // it says more than "deadline exceeded"
	}
	return result, err
}

// pause returns how long to wait after so many failures in a row: longer each
// time, and not in step with others to whom the same has happened.
func pause(failures int) time.Duration {
	longest := 200 * time.Millisecond << min(failures, 4)
	return longest/2 + rand.N(longest/2)
}
