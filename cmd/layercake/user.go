package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"layercake/internal/auth"
	"layercake/internal/fault"
	"layercake/internal/postgres"

	"github.com/prometheus/client_golang/prometheus"
)

// accountsURL is the database whose accounts a command manages.
type accountsURL struct {
	DatabaseURL string `env:"LAYERCAKE_DATABASE_URL,DATABASE_URL" required:"" placeholder:"URL" help:"The deployment's PostgreSQL."`
}

// accountsTime is the limit of such a command.
const accountsTime = 30 * time.Second

// with calls f with the accounts of the database.
func (u accountsURL) with(ctx context.Context, f func(context.Context, *auth.Accounts) error) error {
	ctx, cancel := context.WithTimeout(ctx, accountsTime)
	defer cancel()
	db, err := postgres.Open(ctx, postgres.Config{
		URL: u.DatabaseURL, DirectURL: u.DatabaseURL, Replica: "layercake user", PoolMax: 2, Replicas: 1, Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		return fmt.Errorf("the database cannot be used: %w", postgres.Advise(err))
	}
	defer db.Close()
	accounts, err := auth.NewAccounts(auth.AccountsConfig{DB: db, Passwords: true})
	if err != nil {
		return err
	}
	err = f(ctx, accounts)
	if said := fault.From(err); said != nil {
		return errors.New(said.Message)
	}
	return err
}

// userCommand manages accounts. Operators make them and give codes for one use; nobody but its owner chooses or sees a password.
type userCommand struct {
	Create  userCreate  `cmd:"" help:"Make an account, and print a code by which its owner sets a password."`
	List    userList    `cmd:"" help:"List the accounts."`
	Disable userDisable `cmd:"" help:"Disable an account: its sessions, tokens and sockets end everywhere."`
	Enable  userEnable  `cmd:"" help:"Let a disabled account be used again."`
	Reset   userReset   `cmd:"" help:"Print a code by which the owner of an account sets a new password."`
	Adopt   userAdopt   `cmd:"" help:"Make an account the owner of projects that nobody owns, as those of open mode."`
}

type userCreate struct {
	accountsURL
	Username string `arg:"" help:"3 to 50 letters, digits, _ and -."`
	Email    string `help:"E-mail, by which others invite the account and single sign-on finds it."`
	Name     string `help:"Name for people to read. The default is the user name."`
}

// Run prints the code, which is good for an hour and for one use.
func (c userCreate) Run(ctx context.Context) error {
	return c.with(ctx, func(ctx context.Context, a *auth.Accounts) error {
		in := auth.RegisterInput{Username: c.Username, Email: c.Email, DisplayName: c.Name}
		if in.DisplayName == "" {
			in.DisplayName = c.Username
		}
		u, code, err := a.CreateUser(ctx, in)
		if err != nil {
			return err
		}
		printCode(os.Stdout, u, code)
		return nil
	})
}

func printCode(out io.Writer, u auth.User, code string) {
	const text = "Account %d: %s\nCode: %s\n" +
		"It sets a password once, within an hour: at /login of the server, or by the mutation redeemCode.\n"
	fmt.Fprintf(out, text, u.ID, u.Username, code)
}

type userList struct{ accountsURL }

// Run prints a table.
func (c userList) Run(ctx context.Context) error {
	return c.with(ctx, func(ctx context.Context, a *auth.Accounts) error {
		accounts, err := a.List(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tUSERNAME\tNAME\tEMAIL\tSTATE\tSESSIONS\tTOKENS\tLAST LOGIN")
		for _, u := range accounts {
			state, last := "active", "never"
			if !u.Active {
				state = "disabled"
			}
			if u.LastLoginAt != nil {
				last = u.LastLoginAt.UTC().Format(time.DateTime)
			}
			fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", u.ID, u.Username, u.DisplayName, u.Email, state, u.Sessions, u.Tokens, last)
		}
		return table.Flush()
	})
}

// accountArg names an account.
type accountArg struct {
	accountsURL
	Account string `arg:"" help:"User name, e-mail or id."`
}

// named calls f with the account.
func (c accountArg) named(ctx context.Context, f func(context.Context, *auth.Accounts, auth.User) error) error {
	return c.with(ctx, func(ctx context.Context, a *auth.Accounts) error {
		u, err := a.Named(ctx, c.Account)
		if err != nil {
			return err
		}
		return f(ctx, a, u)
	})
}

type userDisable struct{ accountArg }

// Run disables the account.
func (c userDisable) Run(ctx context.Context) error {
	return c.named(ctx, func(ctx context.Context, a *auth.Accounts, u auth.User) error {
		err := a.SetDisabled(ctx, u.ID, true)
		if err == nil {
			fmt.Printf("%s is disabled; its sessions and tokens have ended, and sockets close within seconds.\n", u.Username)
		}
		return err
	})
}

type userEnable struct{ accountArg }

// Run enables the account.
func (c userEnable) Run(ctx context.Context) error {
	return c.named(ctx, func(ctx context.Context, a *auth.Accounts, u auth.User) error {
		err := a.SetDisabled(ctx, u.ID, false)
		if err == nil {
			fmt.Printf("%s may be used again. Sessions and tokens that ended stay so.\n", u.Username)
		}
		return err
	})
}

type userReset struct{ accountArg }

// Run prints the code.
func (c userReset) Run(ctx context.Context) error {
	return c.named(ctx, func(ctx context.Context, a *auth.Accounts, u auth.User) error {
		code, err := a.Reset(ctx, u.ID)
		if err == nil {
			printCode(os.Stdout, u, code)
		}
		return err
	})
}

type userAdopt struct {
	accountArg
	Projects []int32 `arg:"" optional:"" help:"Ids of projects."`
	All      bool    `help:"All projects that nobody owns."`
}

// Run prints which projects have an owner now. Without any project it lists those that have none.
func (c userAdopt) Run(ctx context.Context) error {
	return c.named(ctx, func(ctx context.Context, a *auth.Accounts, u auth.User) error {
		if _, err := adopt(ctx, a, u, c.Projects); err != nil || len(c.Projects) > 0 && !c.All {
			return err
		}
		for { // the list is long at most once a deployment, and may not be whole
			orphans, err := a.Orphans(ctx)
			if err != nil {
				return err
			}
			var projects []int32
			for _, o := range orphans {
				if projects = append(projects, o.ID); !c.All {
					fmt.Printf("%d  %s\n", o.ID, o.Name)
				}
			}
			if !c.All {
				fmt.Println("Name projects by id, or say --all.")
				return nil
			}
			if n, err := adopt(ctx, a, u, projects); err != nil || n == 0 {
				return err
			}
		}
	})
}

// adopt makes an account the owner of projects that nobody owns, and returns how many there were.
func adopt(ctx context.Context, a *auth.Accounts, u auth.User, projects []int32) (n int, err error) {
	for _, id := range projects {
		adopted, err := a.Adopt(ctx, u.ID, id)
		switch {
		case err != nil:
			return n, err
		case adopted:
			n++
			fmt.Printf("%s owns project %d.\n", u.Username, id)
		default:
			fmt.Printf("Project %d has an owner already, or does not exist.\n", id)
		}
	}
	return n, nil
}

// tokenCommand manages tokens, by which programs act for accounts.
type tokenCommand struct {
	Create tokenCreate `cmd:"" help:"Make a token for an account, and print it."`
	List   tokenList   `cmd:"" help:"List the tokens of an account."`
	Revoke tokenRevoke `cmd:"" help:"End a token."`
}

type tokenCreate struct {
	accountArg
	Name  string   `required:"" help:"What the token is for; events name it."`
	Scope []string `default:"READ" enum:"READ,EDIT,RUN" help:"What it may: READ, EDIT, RUN. EDIT and RUN read as well."`
	Days  int      `default:"30" help:"Days until it ends, at most 365."`
}

// Run prints the secret, which nobody can see again.
func (c tokenCreate) Run(ctx context.Context) error {
	return c.named(ctx, func(ctx context.Context, a *auth.Accounts, u auth.User) error {
		in := auth.NewTokenInput{Name: c.Name, Days: c.Days}
		for _, scope := range c.Scope {
			in.Scopes = append(in.Scopes, auth.Scope(scope))
		}
		token, secret, err := a.CreateToken(ctx, auth.From{}, a.For(u), in)
		if err == nil {
			fmt.Printf("Token %d of %s, until %s:\n%s\n", token.ID, u.Username, token.ExpiresAt.UTC().Format(time.DateTime), secret)
		}
		return err
	})
}

type tokenList struct{ accountArg }

// Run prints a table, without secrets.
func (c tokenList) Run(ctx context.Context) error {
	return c.named(ctx, func(ctx context.Context, a *auth.Accounts, u auth.User) error {
		tokens, err := a.Tokens(ctx, a.For(u))
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tNAME\tSCOPES\tPROJECT\tEXPIRES\tLAST USED")
		for _, t := range tokens {
			project, last := "all", "never"
			if t.ProjectID != nil {
				project = fmt.Sprint(*t.ProjectID)
			}
			if t.LastUsedAt != nil {
				last = t.LastUsedAt.UTC().Format(time.DateTime)
			}
			expires := t.ExpiresAt.UTC().Format(time.DateTime)
			fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Name, auth.Scopes(t.Scopes), project, expires, last)
		}
		return table.Flush()
	})
}

type tokenRevoke struct {
	accountArg
	ID int32 `arg:"" help:"Id of the token."`
}

// Run ends the token.
func (c tokenRevoke) Run(ctx context.Context) error {
	return c.named(ctx, func(ctx context.Context, a *auth.Accounts, u auth.User) error {
		revoked, err := a.RevokeToken(ctx, auth.From{}, a.For(u), c.ID)
		if err == nil && !revoked {
			err = fmt.Errorf("%s has no token %d: layercake token list %s shows those that there are", u.Username, c.ID, u.Username)
		}
		if err == nil {
			fmt.Printf("Token %d has ended; its sockets close within seconds.\n", c.ID)
		}
		return err
	})
}
