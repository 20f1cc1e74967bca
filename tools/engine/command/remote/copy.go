package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/pkg/sftp"
	provider "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// CopyToRemote is the resource command:remote:CopyToRemote. Deleting it leaves what
// it has copied.
type CopyToRemote struct{}

// CopyToRemoteArgs are its inputs.
type CopyToRemoteArgs struct {
	Connection *Connection          `pulumi:"connection" provider:"secret"`
	Triggers   []any                `pulumi:"triggers,optional" provider:"replaceOnChanges"`
	Source     types.AssetOrArchive `pulumi:"source"`
	RemotePath string               `pulumi:"remotePath"`
}

// CopyToRemoteState is what is known of it after a copy.
type CopyToRemoteState struct{ CopyToRemoteArgs }

// Check refuses sources that are not a file, a folder or a text.
func (CopyToRemote) Check(
	ctx context.Context, request infer.CheckRequest,
) (infer.CheckResponse[CopyToRemoteArgs], error) {
	args, failures, err := infer.DefaultCheck[CopyToRemoteArgs](ctx, request.NewInputs)
	if err == nil && len(failures) == 0 && !request.NewInputs.Get("source").IsComputed() {
		failures = args.checkSource()
	}
	return infer.CheckResponse[CopyToRemoteArgs]{Inputs: args, Failures: failures}, err
}

func (a CopyToRemoteArgs) checkSource() []provider.CheckFailure {
	asset, archive := a.Source.Asset, a.Source.Archive
	switch {
	case asset != nil && archive == nil && (asset.IsPath() || asset.IsText()):
		return nil
	case archive != nil && asset == nil && archive.IsPath():
		return nil
	}
	return []provider.CheckFailure{{
		Property: "source",
		Reason:   "must be a FileAsset, a StringAsset or a FileArchive",
	}}
}

func (a CopyToRemoteArgs) hash() string {
	if a.Source.Archive != nil {
		return a.Source.Archive.Hash
	}
	return a.Source.Asset.Hash
}

// Create copies.
func (CopyToRemote) Create(
	ctx context.Context, request infer.CreateRequest[CopyToRemoteArgs],
) (infer.CreateResponse[CopyToRemoteState], error) {
	response := infer.CreateResponse[CopyToRemoteState]{Output: CopyToRemoteState{request.Inputs}}
	var err error
	if response.ID, err = resource.NewUniqueHex("", 8, 0); err != nil || request.DryRun {
		return response, err
	}
	return response, request.Inputs.copy(ctx)
}

// Update copies when the source or the destination is another.
func (CopyToRemote) Update(
	ctx context.Context, request infer.UpdateRequest[CopyToRemoteArgs, CopyToRemoteState],
) (infer.UpdateResponse[CopyToRemoteState], error) {
	response := infer.UpdateResponse[CopyToRemoteState]{Output: CopyToRemoteState{request.Inputs}}
	if request.DryRun {
		return response, nil
	}
	same := request.Inputs.hash() == request.State.hash() &&
		request.Inputs.RemotePath == request.State.RemotePath
	if same {
		return response, nil
	}
	return response, request.Inputs.copy(ctx)
}

func (a CopyToRemoteArgs) copy(ctx context.Context) error {
	connection, err := a.Connection.dial(ctx)
	if err != nil {
		return err
	}
	defer connection.Close()
	defer context.AfterFunc(ctx, func() { connection.Close() })()
	client, err := sftp.NewClient(connection, sftp.UseConcurrentWrites(true))
	if err != nil {
		return err
	}
	defer client.Close()

	target := destination{client}
	asset := a.Source.Asset
	if asset != nil && asset.IsText() {
		return target.putText(asset.Text, a.RemotePath)
	}
	source := ""
	if asset != nil {
		source = asset.Path
	} else {
		source = a.Source.Archive.Path
	}
	return target.put(source, a.RemotePath)
}

// destination is a remote file system.
type destination struct{ *sftp.Client }

// put copies a file or a folder. A folder whose path ends in a slash gives its
// contents, one without becomes a folder in the destination; a file goes into a
// destination that is a folder.
func (d destination) put(source, name string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		if !strings.HasSuffix(source, "/") {
			name = path.Join(name, filepath.Base(source))
		}
		return d.putFolder(source, name)
	}
	existing, err := d.stat(name)
	if err != nil {
		return err
	}
	if existing != nil && existing.IsDir() {
		name = path.Join(name, filepath.Base(source))
	}
	return d.putFile(source, name)
}

func (d destination) putFolder(source, name string) error {
	return fs.WalkDir(os.DirFS(source), ".", func(relative string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := path.Join(name, relative)
		if !entry.IsDir() {
			return d.putFile(filepath.Join(source, relative), to)
		}
		if err := d.MkdirAll(to); err != nil {
			return fmt.Errorf("making the folder %s: %w", to, err)
		}
		return nil
	})
}

func (d destination) putFile(source, name string) error {
	file, err := os.Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	return d.write(file, name)
}

func (d destination) putText(text, name string) error {
	existing, err := d.stat(name)
	if err != nil {
		return err
	}
	if existing != nil && existing.IsDir() {
		return fmt.Errorf("%s is a folder: a text needs the path of a file", name)
	}
	return d.write(strings.NewReader(text), name)
}

func (d destination) write(content io.Reader, name string) error {
	if err := d.MkdirAll(path.Dir(name)); err != nil {
		return fmt.Errorf("making the folder of %s: %w", name, err)
	}
	file, err := d.Create(name)
	if err != nil {
		return fmt.Errorf("creating %s: %w", name, err)
	}
	if _, err := file.ReadFrom(content); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", name, err), file.Close())
	}
	return file.Close()
}

// stat says nil of what is not there.
func (d destination) stat(name string) (fs.FileInfo, error) {
	info, err := d.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", name, err)
	}
	return info, nil
}
