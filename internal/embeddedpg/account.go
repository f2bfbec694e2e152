package embeddedpg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is whom the server runs as. PostgreSQL refuses to run as root, so a process of root gives it another one;
// everybody else's server runs as they do, and their account is nil.
type account struct {
	name     string
	uid, gid uint32
}

func defaultAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return newAccount(u)
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no account postgres or nobody to run it as")
}

// accountFor keeps to the owner of an existing cluster: the account postgres may have come later than the folder.
func accountFor(cluster string) (*account, error) {
	info, err := os.Stat(cluster)
	if os.Geteuid() != 0 || errors.Is(err, fs.ErrNotExist) {
		return defaultAccount()
	}
	if err != nil {
		return nil, err
	}
	owner := info.Sys().(*syscall.Stat_t)
	if owner.Uid == 0 {
		return defaultAccount()
	}
	return &account{name: strconv.FormatUint(uint64(owner.Uid), 10), uid: owner.Uid, gid: owner.Gid}, nil
}

func newAccount(u *user.User) (*account, error) {
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", u.Username, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", u.Username, err)
	}
	return &account{name: u.Username, uid: uint32(uid), gid: uint32(gid)}, nil
}

// String is for error messages: " as postgres", or nothing.
func (a *account) String() string {
	if a == nil {
		return ""
	}
	return " as " + a.name
}

// command prepares one of PostgreSQL's programs.
func (a *account) command(binDir, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(binDir, name), args...)
	cmd.Dir = "/" // the working directory may be closed to the account
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=" + locale, "TZ=UTC"}
	if a != nil {
		credential := &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: []uint32{}}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	}
	return cmd
}

// own gives a file or folder to the account.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}

// ownTree gives a cluster that belongs to root to the account: it was copied or restored, since no server can use it.
func (a *account) ownTree(dir string) error {
	info, err := os.Stat(dir)
	if a == nil || err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		return err
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return a.own(path)
	})
}

// reach checks that the account may pass through dir and every folder above it.
func (a *account) reach(dir string) error {
	if a == nil {
		return nil
	}
	for d := dir; ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t)
		pass := fs.FileMode(0o001)
		switch {
		case owner.Uid == a.uid:
			pass = 0o100
		case owner.Gid == a.gid:
			pass = 0o010
		}
		if info.Mode()&pass == 0 {
			return fmt.Errorf("%s is out of reach: PostgreSQL runs%s, which may not enter %s (mode %s); "+
				"choose another folder (LAYERCAKE_DATA_DIR) or open that one (chmod a+x)", dir, a, d, info.Mode())
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}
