package collab_test

import (
	"strconv"
	"testing"

	"layercake/internal/npmtest"
	"layercake/internal/server/servertest"
)

func TestProtocolOfTheExistingClient(t *testing.T) {
	t.Parallel()
	replicas := servertest.Start(t, 2, nil)
	project := newProject(t, replicas[0].URL)
	t.Log(npmtest.Run(t, "collaboration.mjs",
		"URL="+replicas[0].URL, "OTHER_URL="+replicas[1].URL, "PROJECT="+strconv.Itoa(project)))
}
