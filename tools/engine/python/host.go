package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
	"google.golang.org/protobuf/types/known/emptypb"
)

// alreadyExplained is how the executor ends after it has shown the user what is wrong.
const alreadyExplained = 32

type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer

	engine, tracing, executor string
}

func (*host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: version.Version}, nil
}

// GetRequiredPackages makes the virtual environment if it is to be made, and says what
// the Pulumi packages in it need.
func (*host) GetRequiredPackages(
	ctx context.Context, request *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	tools, err := tools(request.Info)
	if err != nil {
		return nil, err
	}
	directory := request.Info.ProgramDirectory
	if err := tools.EnsureVenv(ctx, directory, false, true, os.Stdout, os.Stderr); err != nil {
		return nil, err
	}
	packages, err := requiredPackages(ctx, tools)
	return &pulumirpc.GetRequiredPackagesResponse{Packages: packages}, err
}

// Run runs the program, whose output is the host's own.
func (h *host) Run(
	ctx context.Context, request *pulumirpc.RunRequest,
) (*pulumirpc.RunResponse, error) {
	tools, err := tools(request.Info)
	if err != nil {
		return nil, err
	}
	if err := tools.ValidateVenv(ctx); err != nil {
		return nil, err
	}
	environment, err := configuration(request)
	if err != nil {
		return nil, err
	}
	command, err := tools.Command(ctx, append([]string{h.executor}, h.arguments(request)...)...)
	if err != nil {
		return nil, err
	}
	command.Env = append(command.Environ(), environment...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr

	err = command.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return &pulumirpc.RunResponse{}, nil
	case !errors.As(err, &exit):
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("running Python: %s", err)}, nil
	case exit.ExitCode() == alreadyExplained:
		return &pulumirpc.RunResponse{Bail: true}, nil
	}
	return &pulumirpc.RunResponse{
		Error: fmt.Sprintf("program exited with non-zero exit code: %d", exit.ExitCode()),
	}, nil
}

func (h *host) arguments(request *pulumirpc.RunRequest) []string {
	options := [][2]string{
		{"monitor", request.MonitorAddress},
		{"engine", h.engine},
		{"project", request.Project},
		{"root_directory", request.Info.RootDirectory},
		{"stack", request.Stack},
		{"pwd", request.Pwd},
		{"dry_run", strconv.FormatBool(request.DryRun)},
		{"parallel", strconv.Itoa(int(request.Parallel))},
		{"tracing", h.tracing},
		{"organization", request.Organization},
	}
	var arguments []string
	for _, option := range options {
		if option[1] != "" {
			arguments = append(arguments, "--"+option[0], option[1])
		}
	}
	program := filepath.Join(request.Info.ProgramDirectory, request.Info.EntryPoint)
	return append(append(arguments, program), request.Args...)
}

// configuration gives the stack's configuration as the executor reads it. Secrets are
// in the environment, which only the same user and root can read, not in arguments.
func configuration(request *pulumirpc.RunRequest) ([]string, error) {
	config := request.Config
	if config == nil {
		config = map[string]string{}
	}
	values, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	secrets, err := json.Marshal(append([]string{}, request.ConfigSecretKeys...))
	if err != nil {
		return nil, err
	}
	return []string{
		"PULUMI_CONFIG=" + string(values), "PULUMI_CONFIG_SECRET_KEYS=" + string(secrets),
	}, nil
}

func (*host) InstallDependencies(
	request *pulumirpc.InstallDependenciesRequest,
	stream pulumirpc.LanguageRuntime_InstallDependenciesServer,
) error {
	tools, err := tools(request.Info)
	if err != nil {
		return err
	}
	closer, stdout, stderr, err := rpcutil.MakeInstallDependenciesStreams(stream, request.IsTerminal)
	if err != nil {
		return err
	}
	err = tools.InstallDependencies(stream.Context(), request.Info.ProgramDirectory,
		request.UseLanguageVersionTools, true, stdout, stderr)
	return errors.Join(err, closer.Close())
}

// About is asked before every update, so it leaves out what only takes time to find: the
// version of the package manager.
func (*host) About(
	ctx context.Context, request *pulumirpc.AboutRequest,
) (*pulumirpc.AboutResponse, error) {
	tools, err := tools(request.Info)
	if err != nil {
		return nil, err
	}
	about, err := ask(ctx, tools, "import platform, sys; print(sys.executable); print(platform.python_version())")
	if err != nil {
		return nil, err
	}
	executable, version, _ := strings.Cut(about, "\n")
	return &pulumirpc.AboutResponse{Executable: executable, Version: strings.TrimSpace(version)}, nil
}

func (*host) GetProgramDependencies(
	ctx context.Context, request *pulumirpc.GetProgramDependenciesRequest,
) (*pulumirpc.GetProgramDependenciesResponse, error) {
	tools, err := tools(request.Info)
	if err != nil {
		return nil, err
	}
	installed, err := tools.ListPackages(ctx, request.TransitiveDependencies)
	response := &pulumirpc.GetProgramDependenciesResponse{}
	for _, one := range installed {
		response.Dependencies = append(response.Dependencies,
			&pulumirpc.DependencyInfo{Name: one.Name, Version: one.Version})
	}
	return response, err
}

// RunPlugin runs a plugin that is a Python program, such as a policy pack, in the
// virtual environment of its own that is `venv` beside it unless it says otherwise.
func (*host) RunPlugin(
	request *pulumirpc.RunPluginRequest, stream pulumirpc.LanguageRuntime_RunPluginServer,
) error {
	options, err := options(request.Info)
	if err != nil {
		return err
	}
	if options.Virtualenv == "" {
		options.Virtualenv = "venv"
	}
	tools, err := toolchain.ResolveToolchain(options)
	if err != nil {
		return err
	}
	arguments := append([]string{request.Info.ProgramDirectory}, request.Args...)
	command, err := tools.Command(stream.Context(), arguments...)
	if err != nil {
		return err
	}
	closer, stdout, stderr, err := rpcutil.MakeRunPluginStreams(stream, false)
	if err != nil {
		return err
	}
	command.Dir = request.Pwd
	command.Env = append(command.Environ(), request.Env...)
	command.Stdout, command.Stderr = stdout, stderr

	err = command.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return errors.Join(err, closer.Close())
	}
	return errors.Join(closer.Close(), stream.Send(&pulumirpc.RunPluginResponse{
		Output: &pulumirpc.RunPluginResponse_Exitcode{Exitcode: int32(exit.ExitCode())},
	}))
}
