// Command pulumi-language-python is Pulumi's language host for Python: it tells the
// engine which plugins a program needs, and runs the program.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-language-python:", err)
		os.Exit(1)
	}
}

// serve prints the port that it listens on and serves until the engine, whose address
// is the only argument, goes away.
func serve() error {
	tracing := flag.String("tracing", "", "where programs send their traces")
	flag.Parse()
	host, err := newHost(flag.Arg(0), *tracing)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := rpcutil.Healthcheck(ctx, host.engine, 5*time.Minute, cancel); err != nil {
		return fmt.Errorf("watching the engine at %q: %w", host.engine, err)
	}
	stop := make(chan bool)
	context.AfterFunc(ctx, func() { close(stop) })
	server, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel: stop,
		Init: func(server *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(server, host)
			return nil
		},
		Options: rpcutil.TracingServerInterceptorOptions(nil),
	})
	if err != nil {
		return err
	}
	fmt.Println(server.Port)
	return <-server.Done
}

func newHost(engine, tracing string) (*host, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	executor := self + "-exec"
	if _, err := os.Stat(executor); err != nil {
		return nil, fmt.Errorf("%s belongs beside it: %w", filepath.Base(executor), err)
	}
	return &host{engine: engine, tracing: tracing, executor: executor}, nil
}
