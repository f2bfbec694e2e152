package layered

import "context"

// ended returns why ctx has ended, or nil while it has not. A loop calls it with the number of each element; it looks at every 4,096th,
// since a look takes as long as some elements.
func ended(ctx context.Context, i int) error {
	if i%4096 != 0 {
		return nil
	}
	return context.Cause(ctx)
}
