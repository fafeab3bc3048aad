package testenv_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"consilium/internal/testenv"
)

func TestProductStartsStopsAndStartsAgainOnItsData(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts the product")
	}
	product := testenv.StartProduct(t, testenv.ProductOptions{Env: []string{"CONSILIUM_LOG_LEVEL=debug"}})
	token := product.Command("token", "--role", "auditor", "--ttl", "1m")
	list := func() int {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, product.URL+"/api/v1/consultations", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode
	}
	if code := list(); code != http.StatusOK {
		t.Errorf("the list answers %d with the token that the product made, want 200", code)
	}

	product.Live.Stop(t)
	if !strings.Contains(product.Live.Output(), "level=DEBUG") {
		t.Error("live did not hear of the setting in Env")
	}
	product.StartLive()
	if code := list(); code != http.StatusOK {
		t.Errorf("the list answers %d after a restart with the token of before, want 200: the data folder is another one", code)
	}

	product.Live.Signal(t, syscall.SIGKILL)
	product.Live.Wait(t, 10*time.Second)
	product.StartLive()
	if code := list(); code != http.StatusOK {
		t.Errorf("the list answers %d after a kill, want 200", code)
	}
}
