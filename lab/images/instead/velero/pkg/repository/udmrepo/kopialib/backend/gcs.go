package backend

import (
	"context"

	"github.com/kopia/kopia/repo/blob"
	"github.com/sirupsen/logrus"
)

// GCSBackend cannot be set up: this program was built without it.
type GCSBackend struct{}

// Setup says so.
func (*GCSBackend) Setup(context.Context, map[string]string, logrus.FieldLogger) error {
	return errBuiltWithout
}

// Connect says so.
func (*GCSBackend) Connect(context.Context, bool, logrus.FieldLogger) (blob.Storage, error) {
	return nil, errBuiltWithout
}
