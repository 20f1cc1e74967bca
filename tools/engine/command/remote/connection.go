// Package remote runs commands on and copies files to other machines, over SSH.
package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	provider "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/retry"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

const unlimited = -1

// endpoint is one SSH server and how to log in to it.
type endpoint struct {
	Host               string   `pulumi:"host"`
	Port               *float64 `pulumi:"port,optional"`
	User               *string  `pulumi:"user,optional"`
	Password           *string  `pulumi:"password,optional"`
	PrivateKey         *string  `pulumi:"privateKey,optional"`
	PrivateKeyPassword *string  `pulumi:"privateKeyPassword,optional"`
	AgentSocketPath    *string  `pulumi:"agentSocketPath,optional"`
	HostKey            *string  `pulumi:"hostKey,optional"`
	DialErrorLimit     *int     `pulumi:"dialErrorLimit,optional"`
	PerDialTimeout     *int     `pulumi:"perDialTimeout,optional"`
}

// Connection is the way to a machine, direct or through another one.
type Connection struct {
	endpoint
	Proxy *ProxyConnection `pulumi:"proxy,optional"`
}

// Annotate gives the defaults.
func (c *Connection) Annotate(a infer.Annotator) { c.endpoint.annotate(a) }

// ProxyConnection is the machine in between.
type ProxyConnection struct{ endpoint }

// Annotate gives the defaults.
func (c *ProxyConnection) Annotate(a infer.Annotator) { c.endpoint.annotate(a) }

func (e *endpoint) annotate(a infer.Annotator) {
	a.SetDefault(&e.Port, 22)
	a.SetDefault(&e.User, "root")
	a.SetDefault(&e.DialErrorLimit, 10)
	a.SetDefault(&e.PerDialTimeout, 15)
}

func (e *endpoint) address() string {
	return net.JoinHostPort(e.Host, strconv.Itoa(int(*e.Port)))
}

func (e *endpoint) config() (*ssh.ClientConfig, error) {
	methods, err := e.authentication()
	if err != nil {
		return nil, err
	}
	verify, err := e.hostKeyCallback()
	if err != nil {
		return nil, err
	}
	return &ssh.ClientConfig{
		User:            *e.User,
		Auth:            methods,
		HostKeyCallback: verify,
		Timeout:         time.Duration(*e.PerDialTimeout) * time.Second,
	}, nil
}

// hostKeyCallback accepts the given key alone, or any key when none is given.
func (e *endpoint) hostKeyCallback() (ssh.HostKeyCallback, error) {
	if e.HostKey == nil {
		return ssh.InsecureIgnoreHostKey(), nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(*e.HostKey))
	if err != nil {
		return nil, fmt.Errorf("hostKey: want one line like \"ssh-ed25519 AAAA...\": %w", err)
	}
	return ssh.FixedHostKey(key), nil
}

func (e *endpoint) authentication() ([]ssh.AuthMethod, error) {
	var methods []ssh.AuthMethod
	if e.PrivateKey != nil {
		signer, err := e.signer()
		if err != nil {
			return nil, fmt.Errorf("privateKey: %w", err)
		}
		methods = append(methods, ssh.PublicKeys(signer))
	}
	if e.Password != nil {
		methods = append(methods, ssh.Password(*e.Password), ssh.KeyboardInteractive(e.answer))
	}
	socket := os.Getenv("SSH_AUTH_SOCK")
	if e.AgentSocketPath != nil {
		socket = *e.AgentSocketPath
	}
	if socket == "" {
		return methods, nil
	}
	connection, err := net.Dial("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("SSH agent: %w", err)
	}
	return append(methods, ssh.PublicKeysCallback(agent.NewClient(connection).Signers)), nil
}

func (e *endpoint) signer() (ssh.Signer, error) {
	if e.PrivateKeyPassword != nil {
		return ssh.ParsePrivateKeyWithPassphrase([]byte(*e.PrivateKey), []byte(*e.PrivateKeyPassword))
	}
	return ssh.ParsePrivateKey([]byte(*e.PrivateKey))
}

func (e *endpoint) answer(_, _ string, questions []string, _ []bool) ([]string, error) {
	answers := make([]string, len(questions))
	for i := range answers {
		answers[i] = *e.Password
	}
	return answers, nil
}

// dial connects, through the proxy if there is one. The caller closes the client.
func (c *Connection) dial(ctx context.Context) (*ssh.Client, error) {
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	limit := *c.DialErrorLimit
	if c.Proxy == nil {
		return persist(ctx, "Dial", limit, func() (*ssh.Client, error) {
			return ssh.Dial("tcp", c.address(), config)
		})
	}
	proxy, err := c.Proxy.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	client, err := persist(ctx, "Dial from proxy", limit, func() (*ssh.Client, error) {
		return dialThrough(proxy, c.address(), config)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("proxy: %w", err), proxy.Close())
	}
	go func() {
		client.Wait()
		proxy.Close()
	}()
	return client, nil
}

func (c *ProxyConnection) dial(ctx context.Context) (*ssh.Client, error) {
	config, err := c.config()
	if err != nil {
		return nil, err
	}
	return persist(ctx, "Dial proxy", *c.DialErrorLimit, func() (*ssh.Client, error) {
		return ssh.Dial("tcp", c.address(), config)
	})
}

func dialThrough(proxy *ssh.Client, address string, config *ssh.ClientConfig) (*ssh.Client, error) {
	channel, err := proxy.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	connection, channels, requests, err := ssh.NewClientConn(channel, address, config)
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(connection, channels, requests), nil
}

// persist tries again, ever less often, until an attempt after `limit` failed ones
// fails as well.
func persist(
	ctx context.Context, what string, limit int, attempt func() (*ssh.Client, error),
) (*ssh.Client, error) {
	var client *ssh.Client
	ok, _, err := retry.Until(ctx, retry.Acceptor{Accept: func(failures int, _ time.Duration) (bool, any, error) {
		var err error
		if client, err = attempt(); err == nil {
			return true, nil, nil
		}
		if limit != unlimited && failures >= limit {
			return false, nil, fmt.Errorf("after %d failed attempts: %w", failures, err)
		}
		provider.GetLogger(ctx).InfoStatusf("%s, attempt %d, failed: retrying", what, failures+1)
		return false, nil, nil
	}})
	if err == nil && !ok {
		err = ctx.Err()
	}
	return client, err
}
