package backend

import (
	"context"
	"errors"

	"github.com/kopia/kopia/repo/blob"
	"github.com/sirupsen/logrus"
)

var errBuiltWithout = errors.New("built without this kind of storage")

// AzureBackend cannot be set up: this program was built without it.
type AzureBackend struct{}

// Setup says so.
func (*AzureBackend) Setup(context.Context, map[string]string, logrus.FieldLogger) error {
	return errBuiltWithout
}

// Connect says so.
func (*AzureBackend) Connect(context.Context, bool, logrus.FieldLogger) (blob.Storage, error) {
	return nil, errBuiltWithout
}
